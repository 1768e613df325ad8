// Files of a run that somebody or something has damaged: never a crash, never a run that is done and is not.
#include "tests/support/workspace.h"

#include <csignal>

using namespace bsq::test;

namespace {

std::string deep(const std::string& opening, const std::string& closing) {
  constexpr int kDepth = 200000;
  std::string text;
  for (int i = 0; i < kDepth; ++i) text += opening;
  for (int i = 0; i < kDepth; ++i) text += closing;
  return text;
}

/// A run of all stages, stopped in `stop_at`, in `good`.
void stop_a_run(const Workspace& here, const Words& more, const std::string& stop_at) {
  Words words = {"train", "tiny.yaml", "--run-dir", "good", "bsq.epochs=100000"};
  words.insert(words.end(), more.begin(), more.end());
  Program program(words, here.setup());
  program.wait_for(stop_at);
  program.send(SIGTERM);
  REQUIRE(program.finish().exit_code == 143);
}

fs::path copy_run(const Workspace& here) {
  fs::remove_all(here / "run");
  fs::copy(here / "good", here / "run", fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  return here / "run";
}

/// Writes another state.json into the last checkpoint, and its size into the marker, as an editor and a person would.
void put_state(const fs::path& run, const std::string& text) {
  const fs::path last = fs::canonical(run / "checkpoints/last");
  const std::string old_size = std::to_string(fs::file_size(last / "state.json"));
  put_text(last / "state.json", text);
  edit_text(last / "DONE", old_size + " state.json", std::to_string(text.size()) + " state.json");
}

}  // namespace

TEST_CASE("a status that is nested deeply, of wrong types or out of range is damaged, for every command") {
  const Workspace here;
  here.train("good", {"stages=[pretrain]"});
  const std::string arrays = deep("[", "]"), objects = deep("{\"a\":", "}");
  const std::vector<std::string> texts = {R"({"state":)" + arrays + R"(,"stage":"","epoch":0,"exit_code":0})",
                                          R"({"state":"done","stage":)" + arrays + R"(,"epoch":0,"exit_code":0})",
                                          R"({"state":"done","stage":"","epoch":)" + arrays + R"(,"exit_code":0})",
                                          arrays,
                                          objects,
                                          deep("[", ""),
                                          R"({"state":"done","stage":"","epoch":-1,"exit_code":0})",
                                          R"({"state":"done","stage":"","epoch":4294967296,"exit_code":0})",
                                          R"({"state":"done","stage":"","epoch":1e300,"exit_code":0})",
                                          R"({"state":"done","stage":"","epoch":"1","exit_code":0})",
                                          R"({"state":"done","stage":7,"epoch":1,"exit_code":0})",
                                          R"({"state":"done","stage":"","epoch":1,"exit_code":256})",
                                          R"({"state":"done","stage":"","epoch":1})",
                                          R"({"state":["done"],"stage":"","epoch":1,"exit_code":0})",
                                          R"({"state":"finished","stage":"","epoch":1,"exit_code":0})",
                                          "[]",
                                          "7",
                                          ""};
  for (const std::string& text : texts) {
    INFO(text.substr(0, 80));
    put_text(copy_run(here) / "status.json", text);
    for (const Words& words : {Words{"report", "run"}, Words{"train", "--resume", "run"}})
      check_error(here, words, 4, {"error: run/status.json: ", "the run directory is damaged"});
    here.must({"eval", "run", "-q"});  // which does not ask
  }
}

TEST_CASE("other files of a run that are nested deeply are damaged, or not needed") {
  const Workspace here;
  here.train("good", {"stages=[pretrain]"});
  const std::string arrays = deep("[", "]");
  for (const char* file : {"metrics.jsonl", "precision.jsonl"}) {
    put_text(copy_run(here) / file, arrays + "\n");
    check_error(here, {"report", "run"}, 4, {std::string("run/") + file + ":1: the log is damaged"});
  }
  put_text(copy_run(here) / "env.json", arrays);
  here.must({"report", "run"});
  edit_text(here / "run/status.json", "done", "running");
  here.must({"train", "--resume", "run"});
  put_text(here / "sweep/sweep.json", arrays);
  check_error(here, {"report", "sweep"}, 4, {"sweep/sweep.json: "});
  check_error(here, {"sweep", "--resume", "sweep"}, 4, {"sweep/sweep.json: "});
}

TEST_CASE("a state that says a place which the run does not have is damaged") {
  const Words more = GENERATE(Words{}, Words{"log.tensorboard=true"});
  const Workspace here;
  stop_a_run(here, more, "[T] bsq      2/100000");
  const nlohmann::json good = json_of(here / "good/checkpoints/last/state.json");
  const auto with = [&](const std::string& pointer, const nlohmann::json& value) {
    nlohmann::json state = good;
    state["progress"][nlohmann::json::json_pointer(pointer)] = value;
    return state.dump(2);
  };
  const auto without = [&](const char* key) {
    nlohmann::json state = good;
    state["progress"].erase(key);
    return state.dump(2);
  };
  const std::vector<std::string> states = {with("/stage", 0),
                                           with("/stage", 1),
                                           with("/stage", 3),
                                           with("/stage", 4),
                                           with("/stage", 5),
                                           with("/stage", 9),
                                           with("/stage", 99),
                                           with("/stage", 2147483647),
                                           with("/stage", 4294967298),
                                           with("/stage", -1),
                                           with("/stage", "bsq"),
                                           with("/stage", 2.5),
                                           with("/stage", nullptr),
                                           without("stage"),
                                           with("/epoch", 0),
                                           with("/epoch", 100000),
                                           with("/epoch", 2147483647),
                                           with("/epoch", -1),
                                           with("/epoch", 1e300),
                                           without("epoch"),
                                           with("/step", 1 << 20),
                                           with("/step", -1),
                                           with("/step", 1e300),
                                           without("step"),
                                           with("/total_epochs", 0),
                                           with("/total_epochs", 2147483647),
                                           with("/total_epochs", -7),
                                           without("total_epochs"),
                                           with("/total_steps", 0),
                                           with("/total_steps", -1),
                                           with("/totals", 7),
                                           with("/totals/steps", 100000),
                                           with("/totals/steps", -1),
                                           with("/totals/samples", -1),
                                           with("/totals/top1", 100000),
                                           with("/totals/seconds", -1),
                                           with("/totals/seconds", "1"),
                                           with("/best_top1", 101),
                                           with("/best_top1", "x"),
                                           with("/best_epoch", 2000000),
                                           with("/stage_seconds", -1),
                                           with("/logs/csv_bytes", -1),
                                           with("/logs/csv_bytes", 1e300),
                                           with("/logs", {1}),
                                           R"({"progress":)" + deep("[", "]") + "}",
                                           R"({"progress":7})",
                                           "[]",
                                           deep("{\"progress\":", "}")};
  for (const std::string& state : states) {
    INFO(state.substr(0, 600));
    put_state(copy_run(here), state);
    const Outcome outcome = here.run({"train", "--resume", "run"});
    INFO(outcome.err);
    CHECK(outcome.exit_code == 4);
    CHECK(outcome.out.empty());
    const std::string last_line = lines_of(outcome.err).back();
    CHECK_THAT(last_line, Catch::StartsWith("error: run/checkpoints/") && Catch::Contains("state.json"));
    CHECK(status_of(here / "run") == "failed 4");
  }
  put_state(copy_run(here), good.dump(2));  // the way the others were written is not what was wrong with them
  Program program({"train", "--resume", "run"}, here.setup());
  program.wait_for("[T] bsq ");  // an epoch later than where the first was stopped, which takes its time
  program.send(SIGTERM);
  CHECK(program.finish().exit_code == 143);
}

TEST_CASE("a log that is damaged, found when the report is written, leaves a complete run done", "[slow]") {
  const Workspace here;
  Program program({"train", "tiny.yaml", "stages=[pretrain]", "pretrain.epochs=60", "--run-dir", "good"}, here.setup());
  program.wait_for("[T] pretrain  3/60");
  program.send(SIGTERM);
  REQUIRE(program.finish().exit_code == 143);
  const std::string csv = text_of(here / "good/metrics.csv"), events = text_of(here / "good/metrics.jsonl");
  const auto damaged = [](std::string text, const std::string& from, const std::string& to) {
    REQUIRE(text.find(from) != std::string::npos);
    return text.replace(text.find(from), from.size(), to);
  };
  const std::vector<std::pair<const char*, std::string>> cases = {
      {"metrics.csv", damaged(csv, "pretrain,1,", "pretrain;1;")},
      {"metrics.csv", damaged(csv, "pretrain,1,", "pretrain,x,")},
      {"metrics.csv", damaged(csv, "stage,", "stag,e")},
      {"metrics.csv", damaged(csv, "pretrain,1,", "pretrain,99999999999,")},
      {"metrics.jsonl", damaged(events, "{", "[")},
      {"metrics.jsonl", damaged(events, "\"form\":\"", "\"f0rm\":\"")},
  };
  for (const auto& [file, text] : cases) {
    INFO(file << "\n" << text.substr(0, 400));
    put_text(copy_run(here) / file, text);
    const Outcome outcome = here.must({"train", "--resume", "run"});
    CHECK(status_of(here / "run") == "done 0");
    CHECK_THAT(outcome.err, Catch::Contains(std::string("\nwarning: run/") + file + ":") &&
                                Catch::Contains("; then write the report of this run with: bsq report run\n") &&
                                !Catch::Contains("error: "));
    check_error(here, {"report", "run"}, 4, {std::string("run/") + file + ":", ": the log is damaged"});
  }
}
