#include "tests/support/emulated_gpu.h"

#include <sstream>

namespace bsq::test {
namespace {

const fs::path& emulated_plugin() {
  static const fs::path plugin = stand_in("emulated") / "libbsq_cuda.so";
  return plugin;
}

struct Epoch {
  std::string stage;
  double loss = 0;
  double penalty = 0;
  double bits = 0;
};

std::vector<Epoch> epochs_of(const fs::path& run) {
  const std::vector<std::string> lines = lines_of(text_of(run / "metrics.csv"));
  REQUIRE(lines.at(0).starts_with(
      "stage,epoch,step,learning_rate,train_loss,train_penalty,train_top1,test_loss,test_top1,test_top5,"
      "bits_per_parameter,"));
  std::vector<Epoch> epochs;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    std::vector<std::string> fields;
    std::istringstream line(lines[i]);
    for (std::string field; std::getline(line, field, ',');) fields.push_back(field);
    epochs.push_back({fields.at(0), std::stod(fields.at(4)), std::stod(fields.at(5)), std::stod(fields.at(10))});
  }
  return epochs;
}

}  // namespace

EmulatedGpu::EmulatedGpu() {
  // LeakSanitizer's tracer stumbles now and then over a process that has switched stacks.
  tree_.with_plugin(emulated_plugin())
      .with_variable("BSQ_CUDA_FORCE_LOAD", "1")
      .with_variable("ASAN_OPTIONS", "detect_leaks=0:handle_sigill=1");
}

Setup EmulatedGpu::setup(const Workspace& here, const std::string& device) const {
  Setup setup = tree_.setup(here);
  setup.environment["BSQ_CUDA_ON_HOST_DEVICE"] = device;
  return setup;
}

Outcome EmulatedGpu::run(const Workspace& here, const Words& words, int exit_code, const std::string& device) const {
  Outcome outcome = test::run(words, setup(here, device));
  INFO(describe(words, outcome));
  REQUIRE(outcome.exit_code == exit_code);
  return outcome;
}

bool EmulatedGpu::is_missing() {
  if (fs::exists(emulated_plugin())) return false;
  WARN("SKIPPED: needs CUDA's headers, for the emulation");
  return true;
}

std::string error_of(const Outcome& outcome) {
  std::vector<std::string> errors;
  for (const std::string& line : lines_of(outcome.err))
    if (line.starts_with("error: ")) errors.push_back(line);
  REQUIRE(errors.size() == 1);
  return errors[0];
}

void check_similar_epochs(const fs::path& expected, const fs::path& found, double of_first_loss) {
  const std::vector<Epoch> expected_epochs = epochs_of(expected);
  const std::vector<Epoch> found_epochs = epochs_of(found);
  REQUIRE(expected_epochs.size() > 1);
  REQUIRE(found_epochs.size() == expected_epochs.size());
  for (std::size_t i = 0; i < expected_epochs.size(); ++i) {
    INFO("epoch " << i + 1);
    CHECK(found_epochs[i].stage == expected_epochs[i].stage);
    CHECK(found_epochs[i].loss == Approx(expected_epochs[i].loss).epsilon(i == 0 ? of_first_loss : 0.01));
    CHECK(found_epochs[i].penalty == Approx(expected_epochs[i].penalty).epsilon(0.05));
    CHECK(found_epochs[i].bits == Approx(expected_epochs[i].bits).epsilon(0.1));
  }
}

}  // namespace bsq::test
