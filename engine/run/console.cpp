// Lines, colours and the progress line (engine/run/console.h).
#include "engine/run/console.h"

#include "engine/base/text.h"
#include "engine/base/utc_time.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <utility>

namespace bsq {
namespace {

constexpr std::string_view kRed = "\x1b[1;31m";
constexpr std::string_view kYellow = "\x1b[33m";
constexpr std::string_view kPlain = "\x1b[0m";
constexpr std::string_view kClearLine = "\r\x1b[K";
constexpr double kRefreshSeconds = 0.1;

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

bool wants_color(ColorMode mode, bool is_terminal, const char* no_color) {
  if (mode != ColorMode::automatic) return mode == ColorMode::always;
  return is_terminal && (no_color == nullptr || *no_color == '\0');
}

ConsoleOptions ConsoleOptions::for_stderr(Verbosity verbosity, ColorMode color_mode) {
  ConsoleOptions options;
  options.verbosity = verbosity;
  options.is_terminal = ::isatty(STDERR_FILENO) == 1;
  options.color = wants_color(color_mode, options.is_terminal, std::getenv("NO_COLOR"));
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) options.columns = size.ws_col;
  return options;
}

void Console::log_to(const std::filesystem::path& file) {
  log_ = PosixFile::open_append(file, ErrorKind::checkpoint);
  if (!before_log_.empty()) log_->write(std::exchange(before_log_, {}));
}

void Console::detail(std::string_view line) {
  if (options_.verbosity == Verbosity::verbose) print(line, "", "", true);
}

void Console::info(std::string_view line) {
  print(line, "", "", options_.verbosity >= Verbosity::normal);
}
void Console::warning(std::string_view line) {
  print(line, "warning: ", kYellow, options_.verbosity != Verbosity::silent);
}
void Console::error(std::string_view line) {
  print(line, "error: ", kRed, options_.verbosity != Verbosity::silent);
}

void Console::print(std::string_view line, std::string_view prefix, std::string_view color, bool on_terminal) {
  if (on_terminal) {
    clear_progress();
    if (options_.color && !color.empty())
      terminal_ << color << prefix << kPlain << line << '\n';
    else
      terminal_ << prefix << line << '\n';
    terminal_.flush();
  }
  const std::string logged = fmt::format("{} {}{}\n", utc_timestamp(), prefix, line);
  if (log_)
    log_->write(logged);
  else if (!prefix.empty())
    before_log_ += logged;
}

void Console::show_progress(std::string_view text) {
  if (!shows_progress()) return;
  const auto room = static_cast<std::size_t>(std::max(options_.columns - 1, 1));  // a full line would wrap and stay
  terminal_ << kClearLine << text.substr(0, room) << std::flush;
  progress_visible_ = true;
}

void Console::clear_progress() {
  if (!progress_visible_) return;
  terminal_ << kClearLine << std::flush;
  progress_visible_ = false;
}

ProgressLine::ProgressLine(Console& console, std::string label, std::int64_t total, std::int64_t already_done,
                           Clock clock)
    : console_(console),
      label_(std::move(label)),
      total_(total),
      already_done_(already_done),
      clock_(clock ? std::move(clock) : steady_seconds),
      started_(clock_()),
      last_shown_(-std::numeric_limits<double>::infinity()) {}

void ProgressLine::update(std::int64_t done, std::string_view detail) {
  if (!console_.shows_progress()) return;
  const double now = clock_();
  if (now - last_shown_ < kRefreshSeconds && done < total_) return;
  last_shown_ = now;

  const std::int64_t percent = total_ > 0 ? 100 * done / total_ : 100;
  std::string text = fmt::format("{} {}% ({}/{})", label_, percent, done, total_);
  if (!detail.empty()) text += fmt::format(" | {}", detail);
  if (done > already_done_) {
    const double seconds_each = (now - started_) / static_cast<double>(done - already_done_);
    text += fmt::format(" | ETA {}", clock_text(seconds_each * static_cast<double>(total_ - done)));
  }
  console_.show_progress(text);
}

}  // namespace bsq
