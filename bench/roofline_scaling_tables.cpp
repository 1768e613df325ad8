// The tables about many GPUs.
#include "bench/roofline_scaling.h"
#include "bench/roofline_tables.h"

#include <fmt/format.h>

#include <functional>

namespace bsq::bench {
namespace {

constexpr int kMostGpus = 1024;
constexpr int kFixed20 = 512;   // images of all GPUs together, ResNet-20
constexpr int kFixed50 = 4096;  // ResNet-50
constexpr int kEach20 = 512;    // images per GPU, if the batch grows with the GPUs
constexpr int kEach50 = 256;
constexpr double kMicro = 1e6;
constexpr double kMilli = 1e3;

std::string number(double value, int digits = 1) {
  return fmt::format("{:.{}f}", value, digits);
}

template <typename Body>
void for_gpus(Body body) {
  for (int gpus = 1; gpus <= kMostGpus; gpus *= 2) body(gpus);
}

/// One GPU's step against the same work spread over `gpus`.
struct Spread {
  const Cluster& cluster;
  const Workload& workload;
  bool overlap = false;

  double step_s(double batch, int gpus) const {
    return workload.step_s(batch) + exposed_s(cluster, workload, batch, gpus, overlap);
  }
  double fixed_speedup(int global_batch, int gpus) const {
    return workload.step_s(global_batch) / step_s(static_cast<double>(global_batch) / gpus, gpus);
  }
  double grown_efficiency(int batch, int gpus) const { return workload.step_s(batch) / step_s(batch, gpus); }
};

Table all_reduce(const Cluster& cluster, const Workload& small, const Workload& large) {
  Table table{"all_reduce", {"GPUs", small.name + ", ring us", "tree us", large.name + ", ring us", "tree us"}, {}};
  for_gpus([&](int gpus) {
    if (gpus == 1) return;
    std::vector<std::string> row{std::to_string(gpus)};
    for (const Workload* workload : {&small, &large}) {
      row.push_back(
          number((cluster.launch_s + ring_all_reduce_s(cluster, workload->gradient_bytes, gpus)) * kMicro, 0));
      row.push_back(
          number((cluster.launch_s + tree_all_reduce_s(cluster, workload->gradient_bytes, gpus)) * kMicro, 0));
    }
    table.rows.push_back(row);
  });
  return table;
}

Table resnet20(const Spread& spread) {
  Table table{"scaling_20",
              {"GPUs", fmt::format("images each of {}", kFixed20), "compute us", "all-reduce us", "speed-up",
               fmt::format("{} each: step us", kEach20), "efficiency %", "M images/s"},
              {}};
  for_gpus([&](int gpus) {
    const double reduce_s = all_reduce_s(spread.cluster, spread.workload.gradient_bytes, gpus);
    const double step_s = spread.step_s(kEach20, gpus);
    std::vector<std::string> row{std::to_string(gpus)};
    if (gpus <= kFixed20) {
      row.push_back(std::to_string(kFixed20 / gpus));
      row.push_back(number(spread.workload.step_s(static_cast<double>(kFixed20) / gpus) * kMicro, 0));
    } else {
      row.insert(row.end(), 2, "");
    }
    row.push_back(number(reduce_s * kMicro, 0));
    row.push_back(gpus <= kFixed20 ? number(spread.fixed_speedup(kFixed20, gpus), 2) : "");
    row.push_back(number(step_s * kMicro, 0));
    row.push_back(number(100 * spread.grown_efficiency(kEach20, gpus), 0));
    row.push_back(number(kEach20 * gpus / step_s * 1e-6));
    table.rows.push_back(row);
  });
  return table;
}

Table resnet50(const Cluster& cluster, const Workload& workload) {
  const Spread after{cluster, workload};
  const Spread during{cluster, workload, true};
  Table table{"scaling_50",
              {"GPUs", fmt::format("images each of {}", kFixed50), "compute ms", "all-reduce ms", "speed-up",
               "with overlap", fmt::format("{} each: efficiency %", kEach50), "with overlap", "k images/s"},
              {}};
  for_gpus([&](int gpus) {
    table.rows.push_back({std::to_string(gpus), std::to_string(kFixed50 / gpus),
                          number(workload.step_s(static_cast<double>(kFixed50) / gpus) * kMilli, 2),
                          number(all_reduce_s(cluster, workload.gradient_bytes, gpus) * kMilli, 2),
                          number(after.fixed_speedup(kFixed50, gpus)), number(during.fixed_speedup(kFixed50, gpus)),
                          number(100 * after.grown_efficiency(kEach50, gpus)),
                          number(100 * during.grown_efficiency(kEach50, gpus)),
                          number(kEach50 * gpus / during.step_s(kEach50, gpus) * 1e-3, 0)});
  });
  return table;
}

/// The best number of GPUs, and the most that are used at half their speed at least.
Table limits(const Cluster& cluster, const Workload& small, const Workload& large) {
  Table table{"limits", {"what", "best speed-up", "at GPUs", "most GPUs at 50 % efficiency"}, {}};
  const auto add = [&](const std::string& what, const std::function<double(int)>& speedup, int most) {
    int best = 1;
    int half = 1;
    for_gpus([&](int gpus) {
      if (gpus > most) return;
      if (speedup(gpus) > speedup(best)) best = gpus;
      if (speedup(gpus) >= 0.5 * gpus) half = gpus;
    });
    table.rows.push_back({what, number(speedup(best)), std::to_string(best), std::to_string(half)});
  };
  for (const bool overlap : {false, true}) {
    const Spread small_spread{cluster, small, overlap};
    const Spread large_spread{cluster, large, overlap};
    const std::string how = overlap ? ", overlap" : "";
    if (!overlap) {  // so small a buffer is one message
      add(
          fmt::format("{}, {} images in all", small.name, kFixed20),
          [&](int gpus) { return small_spread.fixed_speedup(kFixed20, gpus); }, kFixed20);
      add(
          fmt::format("{}, {} images each", small.name, kEach20),
          [&](int gpus) { return gpus * small_spread.grown_efficiency(kEach20, gpus); }, kMostGpus);
    }
    add(
        fmt::format("{}, {} images in all{}", large.name, kFixed50, how),
        [&](int gpus) { return large_spread.fixed_speedup(kFixed50, gpus); }, kMostGpus);
    add(
        fmt::format("{}, {} images each{}", large.name, kEach50, how),
        [&](int gpus) { return gpus * large_spread.grown_efficiency(kEach50, gpus); }, kMostGpus);
  }
  return table;
}

/// What else grows with the number of GPUs, or does not shrink.
Table extras(const Cluster& cluster, const Machine& machine, const Workload& small) {
  constexpr int reductions = 21 + 9 + 21;   // norms forward, maxima behind a shortcut, norms backward
  constexpr double statistics_bytes = 512;  // two floats per channel, 64 channels
  constexpr double weights = 25.6e6;
  constexpr double plane_bytes = (8 * 8 + 1) * 4 + 2;
  Table table{"extras",
              {"GPUs", "ResNet-20: step of 512 each, us", "batch statistics of all ranks: more us",
               "25.6 M weights: the pass over planes, ms", "planes shared out, ms", "planes and momentum, GB a GPU",
               "shared out"},
              {}};
  for (const int gpus : {1, 8, 64, 1024}) {
    const double passes_s = weights * plane_bytes / machine.bytes_per_s;
    const double planes_gb = weights * 2 * 8 * 4 * 2 * 1e-9;
    table.rows.push_back({std::to_string(gpus), number(small.step_s(kEach20) * kMicro, 0),
                          number(reductions * all_reduce_s(cluster, statistics_bytes, gpus) * kMicro, 0),
                          number(passes_s * kMilli, 2), number(passes_s / gpus * kMilli, 3), number(planes_gb, 2),
                          number(planes_gb / gpus, 3)});
  }
  return table;
}

}  // namespace

std::vector<Table> scaling_tables() {
  const Machine machine;
  const Cluster cluster;
  const Workload small = resnet20_workload(machine);
  const Workload large = resnet50_workload(machine);
  return {all_reduce(cluster, small, large), resnet20({cluster, small}), resnet50(cluster, large),
          limits(cluster, small, large), extras(cluster, machine, small)};
}

}  // namespace bsq::bench
