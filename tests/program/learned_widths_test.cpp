// LSQ under a budget, and a moving average of the weights, as a person asks for them: what a run says, and what is
// refused.
#include "tests/support/emulated_gpu.h"
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <csignal>

using namespace bsq::test;
using nlohmann::json;

namespace {

Words with_learned_widths(Words words, const Words& more = {}) {
  for (const char* word : {"stages=[pretrain,lsq]", "lsq.epochs=5", "lsq.budget_bits=3", "lsq.budget_count=published",
                           "lsq.budget_epochs=3", "lsq.ema=0.9"})
    words.emplace_back(word);
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

double published_bits(const fs::path& run) {
  const json summary = json_of(run / "report/summary.json");
  for (const json& stage : summary.at("stages"))
    if (stage.at("stage") == "lsq") return stage.at("bits_per_parameter");
  return -1;
}

}  // namespace

TEST_CASE("LSQ meets its budget as log and page say, and the average is what is evaluated and kept") {
  const Workspace here;
  const Outcome outcome = here.train("run", with_learned_widths({}));
  const std::string log = text_of(here / "run/train.log");
  CHECK_THAT(log, Catch::Contains("[M] lsq after epoch 0: budget 3 (published count): 8.000 bits per weight now, ") &&
                      Catch::Contains("met, so that widths stay from here on") &&
                      Catch::Contains("[Q] lsq after epoch 1: 8.00 -> ") &&
                      Catch::Contains("stage lsq: a moving average of the weights (0.9) is evaluated") &&
                      Catch::Contains(" of the average, "));
  CHECK_THAT(outcome.out, Catch::Contains("budget of lsq: 3 bits per weight; met after epoch 3"));
  CHECK(std::abs(published_bits(here / "run") - 3) < 0.3);
  const std::string page = text_of(here / "run/report/index.html");
  CHECK_THAT(page, Catch::Contains("Bits under the budget") &&
                       Catch::Contains("In published bits. Once the budget is met") &&
                       Catch::Contains("test accuracy is that of the average"));
  CHECK(fs::exists(here / "run/report/budget.svg"));
  CHECK_FALSE(fs::exists(here / "run/report/budget_alpha.svg"));
  here.must({"verify", "run", "--epochs", "all"});
}

TEST_CASE("a budget of operations is met in the operations that the report counts") {
  const Workspace here;
  for (const std::string stage : {"lsq", "bsq", "msq"}) {
    INFO(stage);
    const fs::path run = "run_" + stage;
    const Outcome outcome =
        here.train(run.string(), {"stages=[pretrain," + stage + "]", stage + ".epochs=5", "bsq.alpha=0",
                                  "bsq.budget_alpha=0.02", stage + ".budget_bits=4", stage + ".budget_count=bops"});
    CHECK_THAT(outcome.out, Catch::Contains("budget of " + stage + ": 4 bits per operation; "));
    CHECK_THAT(text_of(here / run / "report/index.html"), Catch::Contains("In bops bits. Once the budget is met"));
    double bops = 0, bops_of_a_bit = 0, largest = 0;
    const json summary = json_of(here / run / "report/summary.json");
    for (const json& layer : summary.at("operations").at("layers")) {
      if (layer.at("weight_bits") == 32) continue;  // projections stay float
      const double one = layer.at("multiply_adds").get<double>() * layer.at("input_bits").get<double>();
      bops += layer.at("weight_bits") == 0 ? 2 * one : layer.at("bops").get<double>();
      bops_of_a_bit += one;
      largest = std::max(largest, one);
    }
    CHECK(bops / bops_of_a_bit <= 4 + 0.5 * largest / bops_of_a_bit + 0.006);
    CHECK(bops / bops_of_a_bit > 3.3);  // weights that use no level of their last bit are handed on without it
  }
}

TEST_CASE("a checkpoint has weights and average, each with activation scales of its own, and both can be evaluated") {
  const Workspace here;
  here.train("run", with_learned_widths({}, {"checkpoint.keep_last=20", "quant.act_scale=calibrated"}));
  const fs::path folder = here / "run/checkpoints/epoch_0004";
  REQUIRE(fs::exists(folder / "ema.safetensors"));
  json weights;
  for (const std::string& line : lines_of(text_of(here / "run/metrics.jsonl")))
    if (const json event = json::parse(line); event.at("event") == "weights" && event.at("epoch") == 1) weights = event;
  const auto accuracy = [&](const char* file) {
    const Outcome outcome = here.must({"eval", (folder / file).string(), "--json"});
    return json::parse(outcome.out);
  };
  CHECK(accuracy("model.safetensors").dump() != accuracy("ema.safetensors").dump());
  CHECK(weights.contains("test_top1"));
  here.must({"verify", "run", "--epochs", "all"});
}

TEST_CASE("a run of learned widths with an average that is killed and resumed comes to the bits of one that was not") {
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  const Workspace here;
  here.train("whole", with_learned_widths({}));
  for (const char* line : {"[T] lsq 2/5", "[Q] lsq after epoch 2", "[T] lsq 4/5"}) {
    fs::remove_all(here / "run");
    const Words train = with_learned_widths({"train", "tiny.yaml", "--run-dir", "run"});
    REQUIRE(signal_after(line, SIGKILL, train, here.setup()).signal == SIGKILL);
    here.must(with_learned_widths({"train", "tiny.yaml", "--run-dir", "run", "--resume", "auto"}));
    check_same_run(here / "whole", here / "run");
  }
}

TEST_CASE("budgets that cannot be met, windows beyond the stage and averages that cannot be are refused") {
  const Workspace here;
  const Words lsq = {"train", "tiny.yaml", "stages=[pretrain,lsq]", "lsq.epochs=4"};
  const auto with = [&](const Words& more) {
    Words words = lsq;
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  const std::string end = "1 error; nothing was written";
  check_errors(here, with({"lsq.budget_bits=1.5"}), 2,
               {"override 3: lsq.budget_bits = 1.5; must be at least 2: every layer keeps a bit and its signs "
                "(lsq.budget_count: stored), or 0 for no budget",
                end});
  check_errors(here, with({"lsq.budget_bits=3", "lsq.budget_epochs=5"}), 2,
               {"override 4: lsq.budget_epochs = 5; must be at most lsq.epochs = 4", end});
  check_errors(here, with({"lsq.ema=1"}), 2, {"override 3: lsq.ema = 1; must be below 1, or it never moves", end});
  check_errors(here, with({"lsq.ema=-0.1"}), 2, {"override 3: lsq.ema = -0.1; must be a number in 0..1", end});
  check_error(here, with({"lsq.budget_bits=2"}), 2, {"lsq.budget_bits = 2: this network cannot come below 2."});
}

TEST_CASE("learned widths and an average on an emulated GPU come to what they come to on the CPU", "[slow]") {
  if (EmulatedGpu::is_missing()) return;
  const Workspace here;
  const EmulatedGpu gpu;
  gpu.run(here, with_learned_widths({"train", "tiny.yaml", "--run-dir", "gpu", "device=cuda"}), 0);
  here.train("cpu", with_learned_widths({"device=cpu"}));
  CHECK(std::abs(published_bits(here / "gpu") - published_bits(here / "cpu")) < 0.3);
}
