// `bsq train` where all goes well: what it prints where, what it leaves, and every way to say what to run.
#include "tests/support/workspace.h"

#include <fmt/format.h>

#include <algorithm>

using namespace bsq::test;

namespace {

/// Bits of every layer from the report of a run.
std::vector<int> bits_of(const fs::path& run) {
  std::vector<int> bits;
  const auto report = json_of(run / "report/summary.json");
  for (const auto& layer : report.at("precision").at("layers")) bits.push_back(layer.at("bits"));
  return bits;
}

std::vector<std::string> stages_done(const fs::path& run) {
  std::vector<std::string> names;
  const auto report = json_of(run / "report/summary.json");
  for (const auto& stage : report.at("stages"))
    if (stage.contains("test_top1")) names.push_back(stage.at("stage"));
  return names;
}

std::string model_bytes(const fs::path& run, const std::string& stage) {
  return text_of(run / "checkpoints" / stage / "model.safetensors");
}

}  // namespace

TEST_CASE("a run of all stages puts the report on stdout, the log on stderr, and leaves a whole run directory") {
  const Workspace here;
  const Outcome outcome = here.train("run");
  CHECK_THAT(outcome.out, Catch::Contains("run       run  done\n"));
  for (const char* row : {"\npretrain     2/2 ", "\nconvert        - ", "\nbsq          3/3 ", "\nfinetune     2/2 "})
    CHECK_THAT(outcome.out, Catch::Contains(row));
  CHECK_THAT(outcome.out, Catch::Contains("model: checkpoints/finetune_best\n"));
  CHECK_THAT(outcome.out, Catch::Contains("\nresult: "));
  CHECK_THAT(outcome.out, !Catch::Contains("[T]"));

  const std::vector<std::string> log = lines_of(outcome.err);
  const auto count = [&](const std::string& start) {
    return std::count_if(log.begin(), log.end(), [&](const std::string& line) { return line.starts_with(start); });
  };
  CHECK(log.front() == "data: 48 training and 20 test images of 32x32, 10 classes (synthetic)");
  CHECK(count("device: ") == 1);
  CHECK(count("run: run") == 1);
  CHECK(count("[T] ") == 7);
  CHECK(count("[Q] ") == 4);
  CHECK(count("stage ") == 8);
  CHECK(count("warning") + count("error") == 0);
  CHECK(outcome.err.find('\r') == std::string::npos);  // not a terminal
  CHECK(outcome.err.find('\x1b') == std::string::npos);

  const fs::path run = here / "run";
  CHECK(status_of(run) == "done 0");
  CHECK(text_of(run / "command.txt") == "bsq train tiny.yaml --run-dir run\n");
  CHECK(text_of(run / "overrides.txt").empty());
  const auto env = json_of(run / "env.json");
  CHECK_THAT(env.at("device"), Catch::StartsWith("cpu, 1 thread, "));
  CHECK(env.at("engines").at("device") == env.at("device"));
  REQUIRE(env.at("engines").at("convolutions").size() > 3);
  CHECK_THAT(env.at("engines").at("convolutions")[0].at("engine"), Catch::StartsWith("oneDNN "));
  CHECK(lines_of(text_of(run / "metrics.csv")).size() == 8);
  CHECK(lines_of(text_of(run / "precision.jsonl")).size() == 4 * 9);
  for (const std::string& line : log)
    if (line.starts_with("[T]")) CHECK_THAT(text_of(run / "train.log"), Catch::Contains(line));
  for (const char* name : {"pretrain", "pretrain_best", "convert", "bsq", "bsq_best", "finetune", "finetune_best"})
    CHECK(fs::exists(run / "checkpoints" / name / "model.safetensors"));
  CHECK(fs::read_symlink(run / "checkpoints/best") == "finetune_best");
  CHECK_FALSE(has_leftovers(run));
}

TEST_CASE("a verbose command names what runs each convolution, in training and in evaluation") {
  const Workspace here;
  const auto engine = Catch::Contains(": forward by oneDNN ");
  const Outcome train = here.run({"train", "tiny.yaml", "--run-dir", "run", "stages=[pretrain]", "-v"});
  CHECK_THAT(train.err, engine && Catch::Contains(": backward weight by oneDNN "));
  CHECK_THAT(here.run({"eval", "run", "-v"}).err, engine && !Catch::Contains("backward"));
  CHECK_THAT(here.run({"eval", "run"}).err, !engine);
}

TEST_CASE("bits fall while BSQ trains, and finetuning keeps them") {
  const Workspace here;
  here.train("run", {"stages=[pretrain,convert,bsq]"});
  const std::vector<int> bits = bits_of(here / "run");
  CHECK(std::any_of(bits.begin(), bits.end(), [](int n) { return n < 8; }));
  here.train("tuned", {"stages=[finetune]", "model.init=run/checkpoints/bsq"});
  std::vector<int> tuned = bits_of(here / "tuned");
  for (std::size_t i = 0; i < bits.size(); ++i)
    CHECK((tuned[i] == bits[i] || (tuned[i] == 0 && bits[i] == 1)));  // an empty layer ends as 0 bits
}

TEST_CASE("every part of the chain can run alone, from a checkpoint folder, a run or a file") {
  const Workspace here;
  here.train("float", {"stages=[pretrain]"});
  here.train("planes", {"stages=[convert]", "model.init=float"});
  here.train("bsq", {"stages=[bsq]", "model.init=planes/checkpoints/convert/model.safetensors"});
  here.train("tuned", {"stages=[finetune]", "model.init=bsq/checkpoints/bsq"});
  here.train("whole");
  for (const char* run : {"float", "planes", "bsq", "tuned"}) CHECK(stages_done(here / run).size() == 1);
  // Random numbers depend on a stage's place in its chain, so only what comes before the first training is the same.
  CHECK((model_bytes(here / "float", "pretrain") == model_bytes(here / "whole", "pretrain")));
  CHECK((model_bytes(here / "planes", "convert") == model_bytes(here / "whole", "convert")));

  here.train("two", {"stages=[convert,bsq]", "model.init=float"});
  here.train("three", {"stages=[bsq,finetune]", "model.init=float"});  // bsq converts a float model itself
  here.train("four", {"stages=[convert,finetune]", "model.init=float", "quant.weight_bits=3"});
  CHECK(stages_done(here / "two") == std::vector<std::string>{"convert", "bsq"});
  CHECK(stages_done(here / "three") == std::vector<std::string>{"bsq", "finetune"});
  const std::vector<int> bits = bits_of(here / "four");
  CHECK(bits == std::vector<int>(9, 3));
}

TEST_CASE("the same run again gives the same bits, another seed does not") {
  const Workspace here;
  here.train("a");
  here.train("b");
  here.train("c", {"seed=2"});
  check_same_run(here / "a", here / "b");
  CHECK((model_bytes(here / "a", "finetune") != model_bytes(here / "c", "finetune")));
}

TEST_CASE("option --quiet says nothing where nothing is wrong, but the log file has it all") {
  const Workspace here;
  for (const char* flag : {"-q", "--quiet"}) {
    const Outcome outcome = here.train("run", {flag, "stages=[pretrain]", "--force"});
    CHECK(outcome.out.empty());
    CHECK(outcome.err.empty());
    CHECK_THAT(text_of(here / "run/train.log"), Catch::Contains("[T] pretrain 2/2"));
  }
  const Outcome warned = here.train("warned", {"-q", "stages=[pretrain]", "pretrain.milestones=[9]"});
  CHECK(warned.err ==
        "warning: pretrain.milestones: epoch 9 is beyond pretrain.epochs = 2; lr does not change there\n");
}

TEST_CASE("colour is there on demand only") {
  const Workspace here;
  const Words words = {"train", "tiny.yaml", "pretrain.milestones=[9]", "--dry-run"};
  const auto colours = [&](const Words& more, const std::map<std::string, std::string>& environment) {
    Words all = words;
    all.insert(all.end(), more.begin(), more.end());
    Setup setup = here.setup();
    setup.environment = environment;
    const Outcome outcome = run(all, setup);
    CHECK(outcome.exit_code == 0);
    CHECK_THAT(outcome.err, Catch::Contains("pretrain.milestones: epoch 9 is beyond"));
    return contains(outcome.err, "\x1b[");
  };
  CHECK_FALSE(colours({}, {}));  // no terminal
  CHECK(colours({"--color=always"}, {}));
  CHECK(colours({"--color", "always"}, {{"NO_COLOR", "1"}}));
  CHECK_FALSE(colours({"--color=never"}, {}));
}

TEST_CASE("option --dry-run opens data, plans memory and takes a step, and writes nothing") {
  const Workspace here;
  const std::vector<std::string> before = here.files();
  const Outcome outcome = here.must({"train", "tiny.yaml", "--dry-run"});
  CHECK(here.files() == before);
  CHECK(outcome.out.starts_with("data\n  training images "));
  for (const char* stage : {"\nstage pretrain: ", "\nstage convert: ", "\nstage bsq: ", "\nstage finetune: "})
    CHECK_THAT(outcome.out, Catch::Contains(stage));
  CHECK_THAT(outcome.out, Catch::Contains("  one step: loss 2."));
  CHECK(outcome.out.ends_with("\ndry run: nothing was written\n"));
  here.must({"train", "tiny.yaml", "--dry-run", "--run-dir", "run"});
  CHECK(here.files() == before);
}

TEST_CASE("a plan needs no files where every set of a kind has the same sizes, and says that it has read none") {
  const Workspace here;
  const std::vector<std::string> before = here.files();
  for (const auto& [kind, classes] : {std::pair("cifar10", "10"), std::pair("cifar100", "100")}) {
    const Words words = {"train",
                         "tiny.yaml",
                         fmt::format("data.kind={}", kind),
                         "data.train_per_class=5",
                         "data.test_per_class=2",
                         "data.batch_size=5"};
    Words plan = words;
    plan.push_back("--dry-run");
    const Outcome outcome = here.must(plan);
    CHECK_THAT(outcome.err, Catch::Contains(fmt::format(
                                ", {} classes ({}; data.root is not set: blank images for the plan)", classes, kind)));
    CHECK_THAT(outcome.out, Catch::Contains("  one step: loss "));
    const Outcome run = here.run(words);  // which needs them
    CHECK(run.exit_code == 2);
    CHECK_THAT(run.err, Catch::Contains(" needs data.root, the folder it lies in"));
    plan.push_back("data.root=gone");
    CHECK(here.run(plan).exit_code == 3);  // files that are named are opened
  }
  CHECK(here.run({"train", "tiny.yaml", "--dry-run", "data.kind=image_folder"}).exit_code == 2);
  CHECK(here.files() == before);
}

TEST_CASE("a step every so often, checkpoints every so often, and as many kept as asked for") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]", "pretrain.epochs=5", "log.every_steps=2", "checkpoint.keep_last=2",
                     "checkpoint.every_epochs=2"});
  int steps = 0;
  for (const std::string& line : lines_of(text_of(here / "run/metrics.jsonl")))
    steps += nlohmann::json::parse(line).at("event") == "step" ? 1 : 0;
  CHECK(steps == 5);  // step 2 of 3 in each epoch
  std::vector<std::string> kept;
  for (const auto& entry : fs::directory_iterator(here / "run/checkpoints"))
    if (entry.path().filename().string().starts_with("epoch_")) kept.push_back(entry.path().filename().string());
  std::sort(kept.begin(), kept.end());
  CHECK(kept == std::vector<std::string>{"epoch_0005", "epoch_0006"});  // the last epoch, and the end of the stage
  CHECK(fs::read_symlink(here / "run/checkpoints/last") == "epoch_0006");
}

TEST_CASE("an interval longer than the run is a warning") {
  const Workspace here;
  const Outcome outcome = here.train("run", {"bsq.requant_interval=4"});
  CHECK(outcome.err.starts_with(
      "warning: bsq.requant_interval = 4, bsq.epochs = 3; no re-quantization before the final one\n"));
  CHECK(lines_of(text_of(here / "run/precision.jsonl")).size() == 2 * 9);  // at epoch 0, and the final one
}
