// What a person reads: plain lines on the terminal (stderr) and in train.log, and one progress line on a terminal.
//
// The file gets every line, on a quiet terminal too, each with its time and without colour or progress; lines of detail
// only if the console is verbose. Not for several threads at once: the training thread speaks.
#pragma once

#include "engine/files/posix_file.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

namespace bsq {

enum class Verbosity { silent, quiet, normal, verbose };
enum class ColorMode { automatic, always, never };

/// `always` and `never` are the person's word; `automatic` colours a terminal unless NO_COLOR holds anything
/// (https://no-color.org).
bool wants_color(ColorMode mode, bool is_terminal, const char* no_color);

struct ConsoleOptions {
  Verbosity verbosity = Verbosity::normal;
  bool color = false;
  bool is_terminal = false;  // whether a progress line makes sense
  int columns = 80;          // of the terminal

  /// Asks the process's stderr and environment.
  static ConsoleOptions for_stderr(Verbosity verbosity, ColorMode color_mode);
};

class Console {
 public:
  /// `terminal` must outlive the console.
  Console(std::ostream& terminal, const ConsoleOptions& options) : terminal_(terminal), options_(options) {}

  /// From here on lines go to this file too, after what it holds and the warnings that there have been. A write that
  /// fails is an Error(checkpoint).
  void log_to(const std::filesystem::path& file);

  void detail(std::string_view line);   // verbose only
  void info(std::string_view line);     // not on a quiet terminal
  void warning(std::string_view line);  // not on a silent terminal
  void error(std::string_view line);    // likewise

  /// Shows or replaces the progress line; it vanishes before the next line of text. Nothing if there is no terminal.
  void show_progress(std::string_view text);
  void clear_progress();
  bool shows_progress() const { return options_.is_terminal && options_.verbosity >= Verbosity::normal; }

 private:
  void print(std::string_view line, std::string_view prefix, std::string_view color, bool on_terminal);

  std::ostream& terminal_;
  ConsoleOptions options_;
  std::optional<PosixFile> log_;
  std::string before_log_;  // warnings
  bool progress_visible_ = false;
};

/// `label 34% (136/391) | detail | ETA 1:05`, at most ten times per second; cleared when it goes out of scope.
class ProgressLine {
 public:
  using Clock = std::function<double()>;  // seconds, from any start

  /// `already_done` of `total` was done before (by a run resumed): it does not count for the speed.
  ProgressLine(Console& console, std::string label, std::int64_t total, std::int64_t already_done = 0,
               Clock clock = {});
  ~ProgressLine() { console_.clear_progress(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void update(std::int64_t done, std::string_view detail = {});

 private:
  Console& console_;
  std::string label_;
  std::int64_t total_;
  std::int64_t already_done_;
  Clock clock_;
  double started_;
  double last_shown_;
};

}  // namespace bsq
