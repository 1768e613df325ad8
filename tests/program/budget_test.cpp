// A budget of bits in place of bsq.alpha: what a run says of it, what it comes to, and what is refused.
#include "tests/support/emulated_gpu.h"
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <csignal>

using namespace bsq::test;
using nlohmann::json;

namespace {

/// tiny.yaml sets an alpha.
const Words kBudget = {"bsq.alpha=0", "bsq.budget_bits=6", "bsq.budget_count=published", "bsq.budget_alpha=1",
                       "bsq.epochs=6"};

Words with_budget(Words words, const Words& more = {}) {
  words.insert(words.end(), kBudget.begin(), kBudget.end());
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

double final_bits(const Workspace& here, const fs::path& run, const char* key) {
  const json summary = json_of(here / run / "report/summary.json");
  for (const json& stage : summary.at("stages"))
    if (stage.at("stage") == "bsq") return stage.at(key);
  return -1;
}

}  // namespace

TEST_CASE("a run meets its budget, and log, report and page say so") {
  const Workspace here;
  const Outcome outcome = here.train("run", with_budget({}));
  const std::string log = text_of(here / "run/train.log");
  CHECK_THAT(log, Catch::Contains("[M] bsq after epoch 0: budget 6 (published count): ") &&
                      Catch::Contains(" planned for the end of the epoch; alpha "));
  CHECK_THAT(log, Catch::Contains("bits per weight now, met, so that they are re-quantized now"));
  CHECK_THAT(log, Catch::Contains("bits per weight at the end; met before"));
  CHECK_THAT(outcome.out, Catch::Contains("budget of bsq: 6 bits per weight; met after epoch "));
  CHECK(std::abs(final_bits(here, "run", "bits_per_parameter") - 6) < 0.4);
  const std::string page = text_of(here / "run/report/index.html");
  CHECK_THAT(page, Catch::Contains("budget of bsq: 6 bits per weight; met after epoch ") &&
                       Catch::Contains("Bits under the budget") &&
                       Catch::Contains("Strength of the penalty under the budget"));
  CHECK(fs::exists(here / "run/report/budget.svg"));
  CHECK(fs::exists(here / "run/report/budget_alpha.svg"));
  const std::string config = text_of(here / "run/config.yaml");
  CHECK_THAT(config, Catch::Contains("budget_bits: 6"));
  CHECK_FALSE(contains(config, "\n  alpha:"));  // a run has alpha or a budget
  here.must({"report", "run"});
}

TEST_CASE("a budget in stored bits is what comparisons show") {
  const Workspace here;
  here.train("run", {"bsq.alpha=0", "bsq.budget_bits=6.5", "bsq.budget_alpha=1", "bsq.epochs=6"});
  const double stored = final_bits(here, "run", "stored_bits_per_parameter");
  CHECK(stored < 6.5 + 0.4);
  CHECK(stored > 6.5 - 0.6);  // an empty layer counts as none there
}

TEST_CASE("a budget that training does not come to is met by taking planes away along the plan, which a run says") {
  const Workspace here;
  const Outcome outcome =
      here.train("run", {"bsq.alpha=0", "bsq.budget_bits=3", "bsq.budget_count=published", "bsq.budget_alpha=1e-6"});
  const std::string log = text_of(here / "run/train.log");
  CHECK_THAT(log, Catch::Contains(" planned; so they are re-quantized now, and planes go: ") &&
                      Catch::Contains("; that meets the budget, widths stay; alpha 0"));
  CHECK_THAT(outcome.out, Catch::Contains(" planes were removed on the way, since training was behind the plan"));
  CHECK(std::abs(final_bits(here, "run", "bits_per_parameter") - 3) < 0.2);
}

TEST_CASE("a run under a budget that is killed and resumed comes to the bits of one that was not") {
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  const Workspace here;
  here.train("whole", with_budget({}));
  const Words train = with_budget({"train", "tiny.yaml", "--run-dir", "run"});
  REQUIRE(signal_after("[T] bsq 2/6", SIGKILL, train, here.setup()).signal == SIGKILL);
  Words resume = train;
  resume.insert(resume.end(), {"--resume", "auto"});
  here.must(resume);
  check_same_run(here / "whole", here / "run");
}

TEST_CASE("a budget on an emulated GPU comes to what it comes to on the CPU", "[slow]") {
  if (EmulatedGpu::is_missing()) return;
  const Workspace here;
  const EmulatedGpu gpu;
  const Words short_run = {"bsq.epochs=3"};  // devices drift apart
  gpu.run(here, with_budget({"train", "tiny.yaml", "--run-dir", "gpu", "device=cuda"}, short_run), 0);
  here.train("cpu", with_budget({"device=cpu"}, short_run));
  for (const char* run : {"cpu", "gpu"})
    CHECK_THAT(text_of(here / run / "train.log"), Catch::Contains("at the end; met before"));
  check_similar_epochs(here / "cpu", here / "gpu");
}

TEST_CASE("a budget beside an alpha, below what a layer needs, or without a meaning is refused") {
  const Workspace here;
  const auto check_refused = [&](const Words& overrides, const std::string& error) {
    Words words = {"validate", "tiny.yaml"};
    words.insert(words.end(), overrides.begin(), overrides.end());
    check_errors(here, words, 2, {error, "1 error; nothing was written"});
  };
  check_refused(
      {"bsq.budget_bits=3"},
      "override 1: bsq.budget_bits = 3 and bsq.alpha = 2; a budget has a strength of its own: leave bsq.alpha out, "
      "or set it to 0 where a file sets it; bsq.budget_alpha is what alpha is at most");
  check_refused({"bsq.alpha=0", "bsq.budget_bits=1.5"},
                "override 2: bsq.budget_bits = 1.5; must be at least 2: every layer keeps a bit and its signs "
                "(bsq.budget_count: stored), or 0 for no budget");
  check_refused({"bsq.alpha=0", "bsq.budget_bits=0.5", "bsq.budget_count=published"},
                "override 2: bsq.budget_bits = 0.5; must be at least 1: every layer keeps a bit, or 0 for no budget");
  check_refused({"bsq.budget_bits=10"}, "override 1: bsq.budget_bits = 10; must be a number in 0..9");
  check_refused({"bsq.budget_count=planes"},
                "override 1: bsq.budget_count = planes; must be one of stored, published, bops");
  here.must({"validate", "tiny.yaml", "bsq.alpha=0", "bsq.budget_bits=3"});
}

TEST_CASE("a budget in bytes is one of the file that is exported, whichever method comes to it") {
  const Workspace here;
  for (const std::string stage : {"bsq", "lsq", "msq"}) {
    INFO(stage);
    const std::string bytes = "6800";
    here.train(stage, {"stages=[pretrain," + stage + ",finetune]", "bsq.alpha=0", stage + ".epochs=4",
                       "bsq.budget_alpha=1e-6", stage + ".budget_bytes=" + bytes});
    for (const std::string& of : {stage, std::string("finetune")}) {
      here.must({"export", stage + "/checkpoints/" + of + "/model.safetensors", "--format", "packed", "--output",
                 "packed.safetensors", "--force"});
      const auto size = static_cast<double>(fs::file_size(here / "packed.safetensors"));
      CHECK(size <= std::stod(bytes));
      CHECK(size > std::stod(bytes) - 576 / 8 - 200);  // a row of the largest layer, and what a header may need less
    }
    const std::string words = "at most " + bytes + " bytes as a packed file";
    CHECK_THAT(text_of(here / stage / "train.log"), Catch::Contains(" (file count; " + words + "): "));
    CHECK_THAT(text_of(here / stage / "report/index.html"),
               Catch::Contains(" bits of the file per weight (" + words + ")") &&
                   Catch::Contains("In file bits. Once the budget is met"));
    CHECK(json_of(here / stage / "report/summary.json").dump().find(words) != std::string::npos);
  }
}

TEST_CASE("a budget as a ratio is said as one beside its bits") {
  const Workspace here;
  const Outcome outcome =
      here.train("run", {"stages=[pretrain,lsq]", "lsq.epochs=4", "lsq.budget_ratio=8", "lsq.budget_count=published"});
  const std::string words = "8 times smaller than float32";
  CHECK_THAT(text_of(here / "run/train.log"), Catch::Contains("budget 4 (published count; " + words + "): 8.000 bits"));
  CHECK_THAT(outcome.out, Catch::Contains("budget of lsq: 4 bits per weight (" + words + "); met after epoch 2"));
  const json stage = json_of(here / "run/report/summary.json").at("stages").back();
  CHECK(std::abs(stage.at("compression").get<double>() - 8) < 0.7);
  CHECK_THAT(text_of(here / "run/config.yaml"), Catch::Contains("budget_ratio: 8"));
  CHECK_FALSE(contains(text_of(here / "run/config.yaml"), "\n  budget_bits:"));
}

TEST_CASE("a budget is said in one way, of what has a size, and as one that a network can meet") {
  const Workspace here;
  const auto check_refused = [&](const Words& overrides, const std::string& error) {
    Words words = {"validate", "tiny.yaml", "stages=[pretrain,lsq]"};
    words.insert(words.end(), overrides.begin(), overrides.end());
    check_errors(here, words, 2, {error, "1 error; nothing was written"});
  };
  check_refused({"lsq.budget_bits=4", "lsq.budget_bytes=200000"},
                "override 2: lsq.budget_bits = 4 and lsq.budget_bytes = 200000; a budget is said in one way: leave the "
                "others out, or set them to 0 where a file sets them");
  check_refused({"lsq.budget_ratio=8", "lsq.budget_count=bops"},
                "override 3: lsq.budget_ratio = 8 and lsq.budget_count = bops; a ratio is one of sizes: count stored "
                "or published bits, or give lsq.budget_bits");
  check_refused({"lsq.budget_bytes=200000", "lsq.budget_count=published"},
                "override 3: lsq.budget_bytes = 200000 and lsq.budget_count = published; bytes are those of a whole "
                "file: leave lsq.budget_count out, or set it to stored where a file sets it");
  check_refused({"lsq.budget_ratio=17"},
                "override 2: lsq.budget_ratio = 17; must be at most 16: every layer keeps a bit and its signs "
                "(lsq.budget_count: stored), or 0 for no budget");
  check_refused({"lsq.budget_ratio=3.5"},
                "override 2: lsq.budget_ratio = 3.5; must be at least 3.55556: a weight has at most 8 bits and a sign, "
                "or 0 for no budget");
  for (const char* command : {"validate", "train"}) {
    const Words cifar = {command, "tiny.yaml", "data.kind=cifar10", "data.root=nowhere", "stages=[pretrain,lsq]"};
    const auto with = [&](const char* budget) {
      Words words = cifar;
      words.emplace_back(budget);
      return words;
    };
    check_error(here, with("lsq.budget_bytes=5000"), 2,
                {"lsq.budget_bytes = 5000: a packed file of this network cannot come below ", " bytes, with a bit of"});
    check_error(here, with("lsq.budget_ratio=15.99"), 2,
                {"lsq.budget_ratio = 15.99: this network can be 14.", " times smaller at most"});
  }
}

TEST_CASE("a budget that fixed layers leave no room for is refused before any data is read, with the least there is") {
  const Workspace here;
  const Words cifar = {
      "data.kind=cifar10", "data.root=nowhere",          "bsq.alpha=0",
      "bsq.budget_bits=3", "bsq.budget_count=published", "quant.layers={\"layer*\": {weight_bits: 8, fixed: true}}"};
  for (const char* command : {"validate", "train"}) {
    Words words = {command, "tiny.yaml"};
    words.insert(words.end(), cifar.begin(), cifar.end());
    check_error(
        here, words, 2,
        {"bsq.budget_bits = 3: this network cannot come below ", " bits per weight (bsq.budget_count: published)"});
  }
  // Of a data set whose sizes only the files tell, before a run folder is made.
  check_error(here,
              {"train", "tiny.yaml", "--run-dir", "run", "bsq.alpha=0", "bsq.budget_bits=3",
               "quant.layers={\"layer*\": {weight_bits: 8, fixed: true}}", "-q"},
              2, {"this network cannot come below "});
  CHECK_FALSE(fs::exists(here / "run"));
}
