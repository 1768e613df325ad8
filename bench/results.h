// What a benchmark has found, as the file that `bsq bench --json` writes and `--against` reads. Times are seconds.
#pragma once

#include "bench/statistics.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bsq::bench {

struct Result {
  std::string operation;
  std::string shape;
  std::string type;
  int calls_per_step = 0;  // in a BSQ step of ResNet-20
  Cost cost;
  std::optional<Timing> warm, cold;
  std::optional<double> peer_s;     // PyTorch, warm
  std::optional<double> enqueue_s;  // of a step: the time that the host needs to enqueue it
  std::string failure;              // why there are no times

  std::string name() const { return operation + "/" + shape + "/" + type; }
};

struct Report {
  std::string version;  // of bsq
  std::string date;
  std::string backend;  // its own description
  std::string place;    // device and threads: what must be equal for times to be compared
  int batch = 0;
  int act_bits = 0;  // of the networks whose steps are measured
  int burst = 0;     // steps enqueued one behind the other
  Peaks peaks;
  std::vector<Result> results;
};

/// The time of a step over that of the float step of the same type; nothing for other rows, or if there is no float
/// step.
std::optional<double> times_float_step(const Report& report, const Result& result);

std::string to_json(const Report& report);
/// Throws Error(usage) if the file is missing or was not made by to_json.
Report read_report(const std::filesystem::path& path);
/// Throws Error(usage) if `before` was measured on another device, with another batch or in another way than `now`.
void check_comparable(const std::filesystem::path& path, const Report& before, const Report& now);

}  // namespace bsq::bench
