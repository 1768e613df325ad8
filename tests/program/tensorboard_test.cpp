// log.tensorboard as a person uses it: what is in a run, and after a kill.
#include "tests/support/event_file.h"
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <csignal>
#include <sstream>

using namespace bsq::test;

namespace {

using Points = std::vector<std::pair<std::int64_t, float>>;

constexpr const char* kBoard = "log.tensorboard=true";

/// A column of metrics.csv; rows count as the epochs of a run do.
Points column(const fs::path& run, const std::string& name) {
  const std::vector<std::string> lines = lines_of(text_of(run / "metrics.csv"));
  const auto cell = [](const std::string& line, std::size_t index) {
    std::istringstream cells(line);
    std::string text;
    for (std::size_t i = 0; i <= index; ++i) std::getline(cells, text, ',');
    return text;
  };
  std::size_t index = 0;
  while (cell(lines.front(), index) != name) REQUIRE(++index < 20);
  Points points;
  for (std::size_t row = 1; row < lines.size(); ++row)
    points.emplace_back(static_cast<std::int64_t>(row), static_cast<float>(std::stod(cell(lines[row], index))));
  return points;
}

/// Tags and points without what a clock measured.
std::map<std::string, Points> results_of(const fs::path& run) {
  std::map<std::string, Points> shown = shown_scalars(run);
  CHECK(shown.erase("perf/images_per_second") == 1);
  return shown;
}

}  // namespace

TEST_CASE(
    "a run writes event files where it is asked to, with the numbers of metrics.csv over the epochs of all stages") {
  const Workspace here;
  here.train("run", {kBoard});
  CHECK(event_files(here / "run").size() == 1);
  std::map<std::string, Points> shown = shown_scalars(here / "run");
  const std::map<std::string, std::string> columns = {{"train/loss", "train_loss"},
                                                      {"train/reg", "train_penalty"},
                                                      {"train/top1", "train_top1"},
                                                      {"val/loss", "test_loss"},
                                                      {"val/top1", "test_top1"},
                                                      {"optim/lr", "learning_rate"},
                                                      {"quant/bits_per_parameter", "bits_per_parameter"},
                                                      {"quant/compression", "compression"},
                                                      {"perf/images_per_second", "images_per_second"}};
  CHECK(shown.size() == columns.size());
  for (const auto& [tag, name] : columns) {
    INFO(tag);
    CHECK(shown[tag].size() == 7);
    CHECK(shown[tag] == column(here / "run", name));
  }
  const std::vector<Event> events = read_events(event_files(here / "run").front());
  REQUIRE(events.size() == 3 + 7);
  CHECK(contains(events[2].texts.at("config"), "    name: tiny"));
  CHECK(contains(events[2].texts.at("config"), "      tensorboard: true"));
}

TEST_CASE("without log.tensorboard there are no event files, and --force clears those of the run before") {
  const Workspace here;
  here.train("run", {kBoard, "log.tensorboard_layers=true", "stages=[pretrain]"});
  const auto shown = shown_scalars(here / "run");
  CHECK(shown.at("layers/layer1.0.conv1/bits") == Points{{1, 32}, {2, 32}});
  CHECK(shown.at("layers/fc.bias/bits").size() == 2);
  CHECK(shown.size() == 9 + 9);
  here.train("run", {"--force", "stages=[pretrain]"});
  CHECK_FALSE(fs::exists(here / "run/tb"));
}

TEST_CASE("killed beyond its checkpoint and resumed, a run shows every epoch once, as if never killed") {
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  const Workspace here;
  const Words train = {"train", "tiny.yaml", "--run-dir", "run", kBoard, "checkpoint.every_epochs=10"};
  here.train("whole", {kBoard, "checkpoint.every_epochs=10"});
  REQUIRE(signal_after("[T] bsq 2/3", SIGKILL, train, here.setup()).signal == SIGKILL);
  CHECK(shown_scalars(here / "run").at("train/loss").size() == 4);  // the last checkpoint is of the stage before
  here.must({"train", "--resume", "run"});
  CHECK(event_files(here / "run").size() == 2);
  CHECK(results_of(here / "run") == results_of(here / "whole"));
  CHECK(results_of(here / "run").at("train/loss").size() == 7);
}

TEST_CASE("event files may be asked for, or no more, when a run is resumed") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  edit_text(here / "run/status.json", "done", "interrupted");
  here.must({"train", "--resume", "run", kBoard});
  CHECK(event_files(here / "run").size() == 1);
  edit_text(here / "run/status.json", "done", "interrupted");
  here.must({"train", "--resume", "run", "log.tensorboard=false"});
  CHECK(event_files(here / "run").size() == 1);
}

TEST_CASE("a run whose event files cannot be made fails and says so") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  edit_text(here / "run/status.json", "done", "interrupted");
  put_text(here / "run/tb", "mine");
  check_error(here, {"train", "--resume", "run", kBoard}, 4, {"run/tb: cannot create the folder of event files"});
  CHECK(status_of(here / "run") == "failed 4");
}
