// How many CPU threads a process should start if nobody says.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace bsq {

struct ThreadCount {
  int threads = 1;
  int cores = 1;      // of the machine
  std::string limit;  // what makes threads fewer than cores, in words; empty if nothing does
};

/// The smallest of: the cores that the process may run on (taskset, a job scheduler), the CPU time that its control
/// groups leave it (containers; full cores, at least one), and OMP_NUM_THREADS.
ThreadCount default_threads();

/// Cores' worth of CPU time that control groups leave a process: cpu.max (version 2), cpu.cfs_quota_us (version 1), the
/// smallest on the way up from its own group. Nothing if there is no limit. `groups` is its /proc/self/cgroup,
/// `root` the place where they are mounted.
std::optional<double> cpu_quota(const std::filesystem::path& groups = "/proc/self/cgroup",
                                const std::filesystem::path& root = "/sys/fs/cgroup");

/// The first number of OMP_NUM_THREADS (`4`, `4,2`); nothing if it is not set, or no number from 1 on.
std::optional<int> openmp_threads();

}  // namespace bsq
