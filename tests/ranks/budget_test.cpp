// A budget of bits on several ranks: each measures the same weights, so that all decide the same.
#include "tests/ranks/launch.h"
#include "tests/support/workspace.h"

namespace bsq::test {
namespace {

using nlohmann::json;

Outcome train_under_budget(int ranks, const std::string& run, const Workspace& here) {
  const Words words = {"train",
                       "tiny.yaml",
                       "--run-dir",
                       run,
                       "bsq.alpha=0",
                       "bsq.budget_bits=6",
                       "bsq.budget_count=published",
                       "bsq.budget_alpha=1",
                       "bsq.epochs=6",
                       "quant.act_bits=0",
                       "model.sync_batch_norm=true"};
  Outcome outcome = run_ranks(ranks, words, here.path());
  INFO(describe(words, outcome));
  REQUIRE(outcome.exit_code == 0);
  return outcome;
}

/// Of every epoch that was measured: bits and alpha; of the end the bits.
std::vector<std::pair<double, double>> notes_of(const fs::path& run) {
  std::vector<std::pair<double, double>> notes;
  for (const std::string& line : lines_of(text_of(run / "metrics.jsonl"))) {
    const json event = json::parse(line);
    if (event.at("event") == "budget") notes.emplace_back(event.at("bits_now"), event.value("alpha", 0.0));
  }
  return notes;
}

/// LSQ or MSQ takes bits away; bits per weight of every epoch that was measured.
std::vector<double> bits_of_learned_widths(const std::string& method, int ranks, const std::string& run,
                                           const Workspace& here) {
  const Words words = {"train",
                       "tiny.yaml",
                       "--run-dir",
                       run,
                       "stages=[pretrain," + method + "]",
                       method + ".epochs=4",
                       method + ".ema=0.9",
                       method + ".budget_bits=4",
                       method + ".budget_count=published",
                       "quant.act_bits=0",
                       "model.sync_batch_norm=true"};
  const Outcome outcome = run_ranks(ranks, words, here.path());
  INFO(describe(words, outcome));
  REQUIRE(outcome.exit_code == 0);
  std::vector<double> bits;
  for (const auto& [now, alpha] : notes_of(here / run)) bits.push_back(now);
  return bits;
}

}  // namespace

TEST_CASE("widths of LSQ and MSQ come to the same budget on three ranks as on one, with the same bits every time") {
  BSQ_NEEDS_RANKS();
  const std::string method = GENERATE("lsq", "msq");
  INFO(method);
  const Workspace here;
  const std::vector<double> one = bits_of_learned_widths(method, 1, "one", here);
  const std::vector<double> three = bits_of_learned_widths(method, 3, "three", here);
  bits_of_learned_widths(method, 3, "again", here);
  check_same_run(here / "three", here / "again");
  REQUIRE(one.size() == three.size());
  CHECK(one.front() == three.front());
  CHECK(one.back() == Approx(4).margin(0.3));
  CHECK(three.back() == Approx(4).margin(0.3));
}

TEST_CASE("steps of activations that are learned are the same on all ranks, and every time") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  const auto train = [&](const std::string& run) {
    const Words words = {"train",
                         "tiny.yaml",
                         "--run-dir",
                         run,
                         "stages=[pretrain,lsq]",
                         "lsq.epochs=2",
                         "lsq.lr=0.001",
                         "quant.activation=lsq",
                         "quant.act_bits=3"};
    const Outcome outcome = run_ranks(3, words, here.path());
    INFO(describe(words, outcome));
    REQUIRE(outcome.exit_code == 0);
  };
  train("once");
  train("again");
  check_same_run(here / "once", here / "again");
}

TEST_CASE("offsets of activations that are learned are the same on all ranks, and every time") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  put_text(here / "mobile.yaml",
           "threads: 1\nmodel: {arch: mobilenet_v2, width_mult: 0.05}\n"
           "data: {kind: synthetic, synthetic_train: 320, synthetic_test: 20, batch_size: 48}\n"
           "quant: {weight_bits: 4, act_bits: 4, activation: lsq, signed: lsq_plus}\n"
           "stages: [pretrain, lsq]\npretrain: {epochs: 2, lr: 0.02, milestones: []}\nlsq: {epochs: 1, lr: 0.001, "
           "milestones: []}\n");
  const auto train = [&](int ranks, const std::string& run) {
    const Words words = {"train", "mobile.yaml", "--run-dir", run};
    const Outcome outcome = run_ranks(ranks, words, here.path());  // which checks that all have the same model
    INFO(describe(words, outcome));
    REQUIRE(outcome.exit_code == 0);
  };
  here.must({"train", "mobile.yaml", "--run-dir", "plain"});
  train(1, "one");
  check_same_run(here / "plain", here / "one");
  train(3, "three");
  train(3, "again");
  check_same_run(here / "three", here / "again");
}

TEST_CASE("a budget is met on three ranks as on one, and with the same bits every time") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  train_under_budget(1, "one", here);
  train_under_budget(3, "three", here);
  train_under_budget(3, "again", here);
  check_same_run(here / "three", here / "again");
  const auto one = notes_of(here / "one"), three = notes_of(here / "three");
  REQUIRE(one.size() >= 3);
  REQUIRE(one.size() == three.size());
  for (std::size_t i = 0; i < one.size(); ++i) {
    INFO("measurement " << i);
    CHECK(one[i].first == Approx(three[i].first).margin(0.3));
    if (i == 0) CHECK(one[i].second == three[i].second);  // the same weights
  }
  CHECK(std::abs(one.back().first - three.back().first) < 0.3);
}

}  // namespace bsq::test
