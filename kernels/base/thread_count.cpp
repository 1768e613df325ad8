// Affinity masks, control groups and OMP_NUM_THREADS (kernels/base/thread_count.h).
#include "kernels/base/thread_count.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>

namespace bsq {
namespace {

namespace fs = std::filesystem;
constexpr int kMostThreads = 4096;

int allowed_cores(int cores) {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : cores;
}

/// quota / period of two numbers, `max 100000` and -1 being none.
std::optional<double> ratio(std::istream& quota_stream, std::istream& period_stream) {
  double quota = 0, period = 0;
  if (!(quota_stream >> quota) || !(period_stream >> period) || quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

std::optional<double> quota_in(const fs::path& folder, bool is_version_2) {
  if (is_version_2) {
    std::ifstream file(folder / "cpu.max");
    return ratio(file, file);
  }
  std::ifstream quota(folder / "cpu.cfs_quota_us"), period(folder / "cpu.cfs_period_us");
  return ratio(quota, period);
}

/// The smallest quota of `mount`/`group` and of what is above it. In a container the group's path may be one outside.
std::optional<double> smallest_quota(const fs::path& mount, const std::string& group, bool is_version_2) {
  std::optional<double> smallest;
  for (fs::path below = fs::path(group).relative_path();; below = below.parent_path()) {
    const std::optional<double> quota = quota_in(mount / below, is_version_2);
    if (quota) smallest = std::min(*quota, smallest.value_or(*quota));
    if (below.empty()) return smallest;
  }
}

bool lists_cpu(const std::string& controllers) {
  std::istringstream stream(controllers);
  for (std::string name; std::getline(stream, name, ',');)
    if (name == "cpu") return true;
  return false;
}

}  // namespace

std::optional<double> cpu_quota(const fs::path& groups, const fs::path& root) {
  std::ifstream file(groups);
  std::optional<double> smallest;
  for (std::string line; std::getline(file, line);) {  // `0::/user.slice` or `4:cpu,cpuacct:/job`
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    std::optional<double> quota;
    if (controllers.empty())
      quota = smallest_quota(root, group, true);
    else if (lists_cpu(controllers))
      quota = smallest_quota(root / controllers, group, false);
    if (lists_cpu(controllers) && !quota) quota = smallest_quota(root / "cpu", group, false);
    if (quota) smallest = std::min(*quota, smallest.value_or(*quota));
  }
  return smallest;
}

std::optional<int> openmp_threads() {
  const char* const variable = std::getenv("OMP_NUM_THREADS");
  if (variable == nullptr) return std::nullopt;
  const std::string_view text = variable;
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  int threads = 0;
  const auto [end, code] = std::from_chars(text.data() + begin, text.data() + text.size(), threads);
  const bool ends_well = end == text.data() + text.size() || *end == ',' || *end == ' ';
  if (code != std::errc() || !ends_well || threads < 1 || threads > kMostThreads) return std::nullopt;
  return threads;
}

ThreadCount default_threads() {
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  ThreadCount count;
  count.cores = count.threads = std::max(cores, allowed_cores(cores));
  const auto limit = [&](int threads, const std::string& by) {
    if (threads >= count.threads) return;
    count.threads = std::max(1, threads);
    count.limit = by;
  };
  limit(allowed_cores(cores), "the cores that this process may use");
  if (const std::optional<double> quota = cpu_quota())
    limit(static_cast<int>(*quota), fmt::format("the CPU time of its control group, {:.3g} cores", *quota));
  if (const std::optional<int> threads = openmp_threads()) limit(*threads, "OMP_NUM_THREADS");
  return count;
}

}  // namespace bsq
