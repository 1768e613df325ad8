// The console: what goes to the terminal, what to the file, and the progress line.
#include "engine/run/console.h"

#include "tests/support/files.h"

#include <sstream>
#include <string>
#include <vector>

using namespace bsq;
using namespace bsq::test;

namespace {

constexpr const char* kClear = "\r\x1b[K";

ConsoleOptions terminal_options() {
  ConsoleOptions options;
  options.is_terminal = true;
  return options;
}

/// The lines of a log without their times, which are checked for their form.
std::vector<std::string> without_times(const std::vector<std::string>& lines) {
  std::vector<std::string> texts;
  for (const std::string& line : lines) {
    CHECK_THAT(line, Catch::Matches(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z .*)"));
    texts.push_back(line.substr(line.find(' ') + 1));
  }
  return texts;
}

}  // namespace

TEST_CASE("colour follows the person, then NO_COLOR, then the terminal") {
  CHECK(wants_color(ColorMode::automatic, true, nullptr));
  CHECK(wants_color(ColorMode::automatic, true, ""));
  CHECK_FALSE(wants_color(ColorMode::automatic, true, "1"));
  CHECK_FALSE(wants_color(ColorMode::automatic, false, nullptr));
  CHECK(wants_color(ColorMode::always, false, "1"));
  CHECK_FALSE(wants_color(ColorMode::never, true, nullptr));
}

TEST_CASE("each verbosity shows its lines, and the file keeps what a quiet terminal hides") {
  const TemporaryFolder folder;
  const auto terminal_text = [&](Verbosity verbosity) {
    std::ostringstream terminal;
    ConsoleOptions options;
    options.verbosity = verbosity;
    Console console(terminal, options);
    console.log_to(folder / "train.log");
    console.detail("detail");
    console.info("info");
    console.warning("slow");
    console.error("broken");
    return terminal.str();
  };
  CHECK(terminal_text(Verbosity::quiet) == "warning: slow\nerror: broken\n");
  const std::vector<std::string> normal_lines = {"info", "warning: slow", "error: broken"};
  CHECK(without_times(lines_of(folder / "train.log")) == normal_lines);
  CHECK(terminal_text(Verbosity::normal) == "info\nwarning: slow\nerror: broken\n");
  CHECK(lines_of(folder / "train.log").size() == 6);  // the file goes on where it was
  CHECK(terminal_text(Verbosity::verbose) == "detail\ninfo\nwarning: slow\nerror: broken\n");
  CHECK(lines_of(folder / "train.log").size() == 10);
}

TEST_CASE("colour reaches the terminal and never the file") {
  const TemporaryFolder folder;
  std::ostringstream terminal;
  ConsoleOptions options = terminal_options();
  options.color = true;
  Console console(terminal, options);
  console.log_to(folder / "train.log");
  console.error("broken");
  console.info("fine");
  console.show_progress("50%");
  CHECK(terminal.str() == std::string("\x1b[1;31merror: \x1b[0mbroken\nfine\n") + kClear + "50%");
  CHECK(text_of(folder / "train.log").find_first_of("\x1b\r") == std::string::npos);
  CHECK(lines_of(folder / "train.log").size() == 2);
}

TEST_CASE("a log on a full disk is an error with its name") {
  std::ostringstream terminal;
  Console console(terminal, {});
  console.log_to("/dev/full");
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { console.info("line"); }),
             Catch::StartsWith("/dev/full: cannot write: No space left on device"));
}

TEST_CASE("the progress line is replaced, cut to the terminal and cleared before text") {
  std::ostringstream terminal;
  ConsoleOptions options = terminal_options();
  options.columns = 10;
  Console console(terminal, options);
  console.show_progress("1 of 2");
  console.show_progress("2 of 2, a long line");
  console.info("done");
  console.info("no progress to clear");
  const std::string clear = kClear;
  CHECK(terminal.str() == clear + "1 of 2" + clear + "2 of 2, a" + clear + "done\nno progress to clear\n");
}

TEST_CASE("there is no progress line without a terminal or on a quiet one") {
  std::ostringstream terminal;
  ConsoleOptions options;
  SECTION("no terminal") {}
  SECTION("quiet") {
    options.is_terminal = true;
    options.verbosity = Verbosity::quiet;
  }
  Console console(terminal, options);
  {
    ProgressLine progress(console, "train", 10);
    progress.update(5, "detail");
    progress.update(10);
  }
  CHECK(terminal.str().empty());
}

TEST_CASE("the progress line tells share, detail and remaining time, ten times a second at most") {
  std::ostringstream terminal;
  Console console(terminal, terminal_options());
  double now = 1000;
  const std::string clear = kClear;
  {
    ProgressLine progress(console, "bsq 3/12", 391, 0, [&] { return now; });
    progress.update(0);
    CHECK(terminal.str() == clear + "bsq 3/12 0% (0/391)");
    terminal.str("");
    now += 0.05;
    progress.update(1);
    CHECK(terminal.str().empty());
    now += 9.95;
    progress.update(136, "loss 0.41");  // 10 s for 136, so 18.75 s for the other 255
    CHECK(terminal.str() == clear + "bsq 3/12 34% (136/391) | loss 0.41 | ETA 0:19");
    terminal.str("");
    now += 0.01;
    progress.update(391);  // the last one is always shown
    CHECK(terminal.str() == clear + "bsq 3/12 100% (391/391) | ETA 0:00");
    terminal.str("");
  }
  CHECK(terminal.str() == clear);
}

TEST_CASE("what was done before a resume does not count for the remaining time") {
  std::ostringstream terminal;
  Console console(terminal, terminal_options());
  double now = 0;
  ProgressLine progress(console, "run", 1000, 900, [&] { return now; });
  now = 10;
  progress.update(910);  // 10 in 10 s, 90 left
  CHECK(terminal.str() == std::string(kClear) + "run 91% (910/1000) | ETA 1:30");
}

TEST_CASE("an empty task is done") {
  std::ostringstream terminal;
  Console console(terminal, terminal_options());
  ProgressLine progress(console, "run", 0);
  progress.update(0);
  CHECK(terminal.str() == std::string(kClear) + "run 100% (0/0)");
}
