// bsq_golden_tests FILE: replays one reference trace and prints what was compared. Exit 0: all within tolerance, or
// skipped.
#include "tests/golden/trace.h"

#include <fmt/core.h>

#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <string>

namespace bsq::golden {
namespace {

using Replay = std::function<void(const TensorFile&, Comparison&)>;

Replay replay_of(const std::string& kind) {
  const std::map<std::string, Replay> replays = {
      {"requantize_cases", compare_requantize_cases},
      {"activation_cases", compare_activation_cases},
      {"operator_cases", compare_operator_cases},
      {"lsq_cases", compare_lsq_cases},
      {"csq_cases", compare_csq_cases},
      {"bsq_trace", compare_bsq_trace},
      {"finetune_trace", compare_finetune_trace},
      {"model_trace", compare_model_trace},
  };
  const auto found = replays.find(kind);
  if (found == replays.end()) fail(ErrorKind::verification, "kind '{}' is not supported yet", kind);
  return found->second;
}

bool replay_file(const char* path) {
  const TensorFile trace = read_safetensors(path);
  const std::string& kind = metadata(trace, "kind");
  fmt::print("{}: {}\n", path, kind);
  Comparison comparison;
  try {
    replay_of(kind)(trace, comparison);
  } catch (const Skipped& skipped) {
    fmt::print("SKIPPED: {}\n", skipped.what());
    return true;
  }
  comparison.print();
  return comparison.passed();
}

}  // namespace
}  // namespace bsq::golden

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: bsq_golden_tests TRACE.safetensors\n");
    return 2;
  }
  try {
    return bsq::golden::replay_file(argv[1]) ? 0 : 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}: {}\n", argv[1], error.what());
    return 1;
  }
}
