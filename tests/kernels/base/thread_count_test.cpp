// Threads by default: control groups of both versions, made up in a folder, OMP_NUM_THREADS and affinity.
#include "kernels/base/thread_count.h"

#include "tests/support/catch.h"
#include "tests/support/files.h"

#include <sched.h>

#include <cstdlib>
#include <fstream>

using namespace bsq;
using namespace bsq::test;

namespace {

namespace fs = std::filesystem;

void put_group_file(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

}  // namespace

TEST_CASE("the quota of control groups of version 2 is the smallest on the way up") {
  const TemporaryFolder folder;
  const fs::path groups = folder / "cgroup", root = folder / "sys";
  put_group_file(groups, "0::/a/b\n");
  CHECK_FALSE(cpu_quota(groups, root).has_value());
  put_group_file(root / "a/b/cpu.max", "max 100000\n");
  CHECK_FALSE(cpu_quota(groups, root).has_value());
  put_group_file(root / "a/cpu.max", "150000 100000\n");
  CHECK(cpu_quota(groups, root) == 1.5);
  put_group_file(root / "a/b/cpu.max", "400000 100000\n");
  CHECK(cpu_quota(groups, root) == 1.5);
  put_group_file(root / "cpu.max", "50000 100000\n");  // as a container sees its own group
  CHECK(cpu_quota(groups, root) == 0.5);
  put_group_file(groups, "0::/of/the/host\n");
  CHECK(cpu_quota(groups, root) == 0.5);
}

TEST_CASE("the quota of control groups of version 1 is in the group of the cpu controller") {
  const TemporaryFolder folder;
  const fs::path groups = folder / "cgroup", root = folder / "sys";
  put_group_file(groups, "12:memory:/job\n4:cpu,cpuacct:/job\n3:cpuset:/job\n");
  put_group_file(root / "cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
  put_group_file(root / "cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  CHECK_FALSE(cpu_quota(groups, root).has_value());
  put_group_file(root / "cpu,cpuacct/job/cpu.cfs_quota_us", "200000\n");
  CHECK(cpu_quota(groups, root) == 2.0);
  fs::rename(root / "cpu,cpuacct", root / "cpu");
  CHECK(cpu_quota(groups, root) == 2.0);
}

TEST_CASE("files of control groups that are missing or hold something else are no limit") {
  const TemporaryFolder folder;
  const fs::path groups = folder / "cgroup", root = folder / "sys";
  CHECK_FALSE(cpu_quota(groups, root).has_value());
  for (const char* text : {"", "\n", "nonsense", "0:", "0::", "::::"}) {
    put_group_file(groups, text);
    CHECK_FALSE(cpu_quota(groups, root).has_value());
  }
  put_group_file(groups, "0::/a\n");
  for (const char* text : {"", "x y", "0 100000", "100000 0", "-5 100000", "100000"}) {
    put_group_file(root / "a/cpu.max", text);
    CHECK_FALSE(cpu_quota(groups, root).has_value());
  }
}

TEST_CASE("OMP_NUM_THREADS counts if it is a number from 1 on, or a list of them") {
  const char* const before = std::getenv("OMP_NUM_THREADS");
  const std::string kept = before == nullptr ? "" : before;
  for (const auto& [text, threads] : {std::pair{"1", 1}, {"3", 3}, {" 2", 2}, {"4,2", 4}}) {
    ::setenv("OMP_NUM_THREADS", text, 1);
    CHECK(openmp_threads() == threads);
    CHECK(default_threads().threads <= threads);
  }
  for (const char* text : {"", "0", "-1", "x", "2x", "99999999999", "1e3"}) {
    ::setenv("OMP_NUM_THREADS", text, 1);
    CHECK_FALSE(openmp_threads().has_value());
  }
  ::unsetenv("OMP_NUM_THREADS");
  CHECK_FALSE(openmp_threads().has_value());
  if (before != nullptr) ::setenv("OMP_NUM_THREADS", kept.c_str(), 1);
}

TEST_CASE("a process that may use one core starts one thread") {
  cpu_set_t all, one;
  REQUIRE(::sched_getaffinity(0, sizeof(all), &all) == 0);
  CPU_ZERO(&one);
  for (int core = 0; CPU_COUNT(&one) == 0; ++core)
    if (CPU_ISSET(core, &all)) CPU_SET(core, &one);
  REQUIRE(::sched_setaffinity(0, sizeof(one), &one) == 0);
  const ThreadCount count = default_threads();
  REQUIRE(::sched_setaffinity(0, sizeof(all), &all) == 0);
  CHECK(count.threads == 1);
  CHECK((count.limit.empty()) == (count.cores == 1));
}
