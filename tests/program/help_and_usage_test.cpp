// What a person meets first: help, version, and what a mistyped command line says.
#include "tests/support/workspace.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <map>

using namespace bsq::test;

namespace {

const std::vector<std::string> kCommands = {"train",    "sweep",       "eval",    "convert", "inspect",
                                            "scheme",   "sensitivity", "what-if", "report",  "verify",
                                            "validate", "data",        "bench",   "info"};

}  // namespace

TEST_CASE("help names every command, on stdout") {
  const Workspace here;
  for (const char* word : {"--help", "-h", "help"}) {
    const Outcome outcome = here.must({word});
    CHECK(outcome.err.empty());
    CHECK_THAT(outcome.out, Catch::Contains("usage: bsq COMMAND"));
    for (const std::string& command : kCommands) CHECK_THAT(outcome.out, Catch::Contains("\n  " + command + " "));
    CHECK_THAT(outcome.out, Catch::Contains("Exit codes: 0 done"));
  }
  const Outcome nothing = here.run({});
  CHECK(nothing.exit_code == 2);
  CHECK_THAT(nothing.out, Catch::Contains("usage: bsq COMMAND"));
}

TEST_CASE("every command explains its options") {
  const Workspace here;
  for (const std::string& command : kCommands) {
    const Outcome outcome = here.must({command, "--help"});
    INFO(outcome.out);
    CHECK(outcome.err.empty());
    CHECK_THAT(outcome.out, Catch::Contains("usage: bsq " + command + " [OPTIONS]"));
    CHECK(here.must({command, "-h"}).out == outcome.out);
    for (const std::string& line : lines_of(outcome.out)) CHECK(line.size() <= 120);
  }
  for (const char* option : {"--resume", "--run-dir", "--force", "--dry-run", "--print-config", "--help-keys"})
    CHECK_THAT(here.must({"train", "--help"}).out, Catch::Contains(option));
  CHECK(here.files() == std::vector<std::string>{"tiny.yaml"});
}

TEST_CASE("help is there at once") {
  const Workspace here;
  auto fastest = std::chrono::steady_clock::duration::max();
  for (int attempt = 0; attempt < 10; ++attempt) {
    const auto start = std::chrono::steady_clock::now();
    here.must({"--help"});
    fastest = std::min(fastest, std::chrono::steady_clock::now() - start);
  }
  CHECK(std::chrono::duration<double>(fastest).count() < 0.5);  // 3 ms on an idle machine
}

TEST_CASE("version and info") {
  const Workspace here;
  const std::string version = here.must({"--version"}).out;
  CHECK_THAT(version, Catch::Matches("bsq [0-9]+\\.[0-9]+\\.[0-9]+.*\n"));
  const std::string info = here.must({"info"}).out;
  for (const char* label :
       {"bsq        ", "\nbuild      ", "\nlibraries  ", "\nmachine    ", "\ndevice     cpu", "\nprecision  fp32"})
    CHECK_THAT(info, Catch::Contains(label));
  CHECK_THAT(info, Catch::Contains(version.substr(4)));
}

TEST_CASE("a mistyped command line is answered with what was meant") {
  const Workspace here;
  const std::vector<std::pair<Words, std::string>> cases = {
      {{"trian", "tiny.yaml"}, "unknown command 'trian'; did you mean 'train'? (bsq --help)"},
      {{"--verison"}, "unknown option '--verison' (bsq --help)"},
      {{""}, "unknown command '' (bsq --help)"},
      {{"train"}, "bsq train: which configuration? usage: bsq train CFG [key=value ...]"},
      {{"train", "seed=2"}, "bsq train: which configuration? usage: bsq train CFG [key=value ...]"},
      {{"validate"}, "bsq validate: which configuration? usage: bsq validate CFG [key=value ...]"},
      {{"eval"}, "bsq eval: which checkpoint? usage: bsq eval CHECKPOINT [key=value ...]"},
      {{"train", "tiny.yaml", "other.yaml"},
       "unexpected 'other.yaml': there is a configuration already (tiny.yaml); overrides are key=value"},
      {{"train", "tiny.yaml", "--forse"}, "unknown option '--forse'; did you mean '--force'? (bsq train --help)"},
      {{"train", "tiny.yaml", "--resume"}, "bsq train: --resume needs a value: --resume RUN|auto"},
      {{"train", "tiny.yaml", "--run-dir"}, "bsq train: --run-dir needs a value: --run-dir DIR"},
      {{"train", "tiny.yaml", "--color=red"},
       "bsq train: --color: red not in {auto,always,never} (see bsq train --help)"},
      {{"convert"}, "bsq convert: IN is missing; usage: bsq convert IN OUT"},
      {{"convert", "a.safetensors"}, "bsq convert: OUT is missing; usage: bsq convert IN OUT"},
      {{"convert", "a", "b", "c"}, "unexpected 'c'; see bsq convert --help"},
      {{"inspect"}, "bsq inspect: FILE is missing; usage: bsq inspect FILE"},
      {{"scheme"}, "bsq scheme: CHECKPOINT is missing; usage: bsq scheme CHECKPOINT"},
      {{"sensitivity"}, "bsq sensitivity: which checkpoint? usage: bsq sensitivity CHECKPOINT [key=value ...]"},
      {{"what-if", "a"}, "bsq what-if: SCHEME is missing; usage: bsq what-if CHECKPOINT SCHEME"},
      {{"report"}, "bsq report: RUN... is missing; usage: bsq report RUN..."},
      {{"info", "gpu"}, "unexpected 'gpu'; see bsq info --help"},
  };
  for (const auto& [words, message] : cases) check_errors(here, words, 2, {message});
  CHECK(here.files() == std::vector<std::string>{"tiny.yaml"});
}

TEST_CASE("the flags of the published scripts lead to the keys") {
  const Workspace here;
  const std::map<std::string, std::string> keys = {
      {"--decay", "bsq.alpha=VALUE"},
      {"--Prun_Int", "bsq.requant_interval=VALUE"},
      {"--thre", "bsq.prune_threshold=VALUE"},
      {"--Nbits", "quant.weight_bits=VALUE"},
      {"--act", "quant.act_bits=VALUE or pretrain.act_bits=VALUE"},
      {"--model", "model.init=VALUE"},
      {"--depth", "model.depth=VALUE"},
      {"--checkpoint", "run.dir=VALUE"},
      {"--lr",
       "pretrain.lr=VALUE or bsq.lr=VALUE or csq.lr=VALUE or lsq.lr=VALUE or dorefa.lr=VALUE or msq.lr=VALUE or "
       "finetune.lr=VALUE"},
      {"--epochs",
       "pretrain.epochs=VALUE or bsq.epochs=VALUE or csq.epochs=VALUE or lsq.epochs=VALUE or dorefa.epochs=VALUE or "
       "msq.epochs=VALUE or "
       "finetune.epochs=VALUE"},
  };
  const std::string help = here.must({"train", "--help-keys"}).out;
  for (const auto& [flag, key] : keys) {
    CHECK_THAT(help, Catch::Contains("(" + flag + ")"));
    check_errors(here, {"train", "tiny.yaml", flag, "3"}, 2, {"unknown option '" + flag + "'; write " + key});
  }
}

TEST_CASE("every key has its line in --help-keys and its place in the schema") {
  const Workspace here;
  std::string help = here.must({"train", "--help-keys"}).out;
  help.insert(help.begin(), '\n');  // so that every key begins a line
  const auto schema = nlohmann::json::parse(here.must({"validate", "--schema"}).out);
  int keys = 0;
  for (const auto& [name, entry] : schema.at("properties").items()) {
    if (name == "_base_" || name == "sweep") continue;
    if (!entry.contains("properties")) {
      CHECK_THAT(help, Catch::Contains("\n  " + name + "="));
      ++keys;
      continue;
    }
    for (const auto& [leaf, key] : entry.at("properties").items()) {
      CHECK_THAT(help, Catch::Contains("\n  " + name + "." + leaf + "="));
      ++keys;
    }
  }
  const std::vector<std::string> lines = lines_of(help);
  CHECK(std::count_if(lines.begin(), lines.end(), [](const std::string& line) { return !line.empty(); }) == keys);
}

TEST_CASE("an output that cannot be written is an error, however much was written") {
  const Workspace here;
  here.train("run", {"stages=[pretrain,convert]"});
  Setup setup = here.setup();
  setup.out = Sink::full_disk;
  for (const Words& words : {Words{"--help"}, Words{"--version"}, Words{"train", "--help-keys"},
                             Words{"train", "tiny.yaml", "--print-config"}, Words{"inspect", "run", "--json"},
                             Words{"report", "run"}, Words{"validate", "--schema"}}) {
    const Outcome outcome = run(words, setup);
    INFO(describe(words, outcome));
    CHECK(outcome.exit_code == 2);
    CHECK(outcome.err == "error: cannot write to standard output; is the disk full, or the reader gone?\n");
  }
  setup.out = Sink::gone_reader;  // `bsq ... | head` ends as everything in a pipe does
  for (const Words& words : {Words{"train", "--help-keys"}, Words{"inspect", "run", "--json"}}) {
    const Outcome outcome = run(words, setup);
    INFO(describe(words, outcome));
    CHECK(outcome.signal == SIGPIPE);
    CHECK(outcome.err.empty());
  }
  setup.err = Sink::full_disk;  // an error that cannot be said is the same error
  for (const auto& [words, exit_code] :
       {std::pair{Words{"train", "nowhere.yaml"}, 2}, std::pair{Words{"eval", "run/nowhere"}, 4}}) {
    const Outcome outcome = run(words, setup);
    INFO(describe(words, outcome));
    CHECK(outcome.exit_code == exit_code);
  }
}

TEST_CASE("a training outlives whoever reads its log") {
  const Workspace here;
  here.train("whole");
  for (const Sink sink : {Sink::gone_reader, Sink::full_disk, Sink::closed}) {
    Setup setup = here.setup();
    setup.err = sink;
    const Outcome outcome = run({"train", "tiny.yaml", "--run-dir", "run", "--force"}, setup);
    CHECK(outcome.exit_code == 0);
    CHECK_THAT(outcome.out, Catch::Contains("\nresult: "));
    check_same_run(here / "whole", here / "run");
    CHECK_THAT(text_of(here / "run/train.log"), Catch::Contains("[T] finetune 2/2"));
    CHECK(text_of(here / "run/.bsq-lock").empty());
    setup.err = Sink::kept;
    setup.out = sink;
    const Outcome mute = run({"train", "tiny.yaml", "--run-dir", "run", "--force"}, setup);
    INFO(mute.err);
    CHECK(mute.exit_code == 0);  // the training is done, whoever reads its tables
    CHECK(status_of(here / "run") == "done 0");
    CHECK(contains(mute.err,
                   "\nwarning: the tables of the run could not be written to standard output; see them with: "
                   "bsq report run\n") == (sink != Sink::closed));
    check_same_run(here / "whole", here / "run");
    CHECK(text_of(here / "run/.bsq-lock").empty());
  }
}

TEST_CASE("a training and a sweep whose whole console is gone end as they would have") {
  const Workspace here;
  here.train("whole");
  for (const Sink sink : {Sink::gone_reader, Sink::full_disk, Sink::closed}) {
    Setup setup = here.setup();
    setup.out = setup.err = sink;
    CHECK(run({"train", "tiny.yaml", "--run-dir", "run", "--force", "-v"}, setup).exit_code == 0);
    check_same_run(here / "whole", here / "run");
    CHECK_THAT(text_of(here / "run/train.log"), Catch::Contains("[T] finetune 2/2"));
    CHECK(run({"train", "--resume", "run"}, setup).exit_code == 0);  // nothing to do
    fs::remove_all(here / "sweep");
    CHECK(run({"sweep", "tiny.yaml", "stages=[pretrain]", "seed=1,2", "--sweep-dir", "sweep"}, setup).exit_code == 0);
    CHECK(status_of(here / "sweep/seed-2") == "done 0");
    CHECK(fs::exists(here / "sweep/report/index.html"));
    const Outcome failed = run({"train", "tiny.yaml", "--run-dir", "bad", "--force", "pretrain.lr=1e30"}, setup);
    CHECK(failed.exit_code == 6);  // a failure is a failure
    CHECK(status_of(here / "bad") == "failed 6");
  }
}

TEST_CASE("OpenMP threads that wait do not spin for long, unless the user says so") {
  const Workspace here;
  const Words words = {"train", "tiny.yaml", "--print-config"};
  const std::map<std::string, std::string> untouched = {{"OMP_WAIT_POLICY", ""}, {"OMP_DISPLAY_ENV", "verbose"}};
  const Outcome outcome = run(words, {.folder = here.path(), .environment = untouched});
  INFO(describe(words, outcome));
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.err, Catch::Contains("GOMP_SPINCOUNT = '1000'"));

  std::map<std::string, std::string> chosen = untouched;
  chosen["GOMP_SPINCOUNT"] = "77";
  CHECK_THAT(run(words, {.folder = here.path(), .environment = chosen}).err, Catch::Contains("GOMP_SPINCOUNT = '77'"));
}
