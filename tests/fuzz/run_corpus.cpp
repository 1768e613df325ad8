// Runs a target of tests/fuzz without libFuzzer: every seed of its corpus, then mutations of them, by number.
//
// usage: bsq_fuzz_tests TARGET CORPUS [--seconds S] [--first N] [--runs N] [--failures DIR]
//        bsq_fuzz_tests TARGET FILE...
//
// Inputs are read in a child process, which this one watches: it ends at the first input that crashes, ends badly
// (tests/fuzz/foreign_bytes.h), or takes too long or too much memory. That input is then written into DIR, and its path
// and number are printed. Exit code 0: none did.
#include "tests/fuzz/foreign_bytes.h"
#include "tests/fuzz/mutations.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <limits>
#include <new>
#include <thread>

#define BSQ_FUZZ_TARGET(name) extern "C" int bsq_fuzz_##name(const std::uint8_t*, std::size_t);
#include "fuzz_targets.inc"
#undef BSQ_FUZZ_TARGET

/// A request for more memory than any input may take ends the process, whether or not it would be used.
extern "C" const char* __asan_default_options() {
  return "max_allocation_size_mb=512:detect_stack_use_after_return=0";
}

namespace {

namespace fs = std::filesystem;
using Target = int (*)(const std::uint8_t*, std::size_t);

constexpr double kMostSeconds = 2;            // of processor time, per input
constexpr double kMostWaiting = 60;           // likewise of a clock, on a machine that has other work
constexpr long kMostKilobytes = 512L * 1024;  // that an input may add to the process
constexpr std::size_t kMostInputBytes = 1 << 17;
constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

struct NamedTarget {
  const char* name;
  Target run;
};

constexpr NamedTarget kTargets[] = {
#define BSQ_FUZZ_TARGET(name) {#name, bsq_fuzz_##name},
#include "fuzz_targets.inc"
#undef BSQ_FUZZ_TARGET
};

struct Plan {
  Target target = nullptr;
  std::string name;
  std::vector<std::string> seed_names;
  std::vector<std::string> seeds;
  double seconds = 0;
  std::uint64_t first = 0;
  std::uint64_t runs = kNoLimit;
  fs::path failures = ".";
};

/// What the child is at, where the parent can see it.
struct Shared {
  std::atomic<double> started{0};        // in seconds of the child's processor time; negative: between two inputs
  std::atomic<std::uint64_t> number{0};  // of inputs: the seeds, then the mutations
  std::atomic<bool> takes_memory{false};
  std::size_t size = 0;
  char bytes[kMostInputBytes];
};

double seconds_on(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

long peak_kilobytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

std::string read_whole(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

[[noreturn]] void refuse(const std::string& why) {
  std::fprintf(stderr, "bsq_fuzz_tests: %s\n", why.c_str());
  std::exit(2);
}

void run_one(const Plan& plan, Shared& shared, std::uint64_t number, const std::string& input) {
  // A copy of exactly its length, so that a read beyond its end is seen.
  const std::vector<std::uint8_t> bytes(input.begin(), input.end());
  shared.size = std::min(input.size(), kMostInputBytes);
  std::memcpy(shared.bytes, input.data(), shared.size);
  shared.number = number;
  const long before = peak_kilobytes();
  shared.started = seconds_on(CLOCK_PROCESS_CPUTIME_ID);
  plan.target(bytes.data(), bytes.size());
  shared.started = -1;
  if (peak_kilobytes() - before > kMostKilobytes) {
    shared.takes_memory = true;
    std::abort();
  }
}

/// The child: what is left to do is counted in `shared`.
void run_all(const Plan& plan, Shared& shared) {
  for (std::size_t i = 0; i < plan.seeds.size(); ++i) run_one(plan, shared, i, plan.seeds[i]);
  const double end = seconds_on(CLOCK_PROCESS_CPUTIME_ID) + plan.seconds;
  for (std::uint64_t i = 0; i < plan.runs && seconds_on(CLOCK_PROCESS_CPUTIME_ID) < end; ++i)
    run_one(plan, shared, plan.seeds.size() + plan.first + i, bsq::fuzz::mutated(plan.seeds, plan.first + i));
}

/// Waits for the child; returns what was wrong with it, or nothing.
std::string watch(pid_t child, const Shared& shared) {
  clockid_t clock{};
  ::clock_getcpuclockid(child, &clock);
  std::uint64_t seen = ~std::uint64_t{0};
  double since = 0;
  for (int status = 0;; std::this_thread::sleep_for(std::chrono::milliseconds(10))) {
    if (::waitpid(child, &status, WNOHANG) == child) {
      if (shared.takes_memory) return "takes more than " + std::to_string(kMostKilobytes / 1024) + " MiB";
      if (WIFSIGNALED(status)) return "ends the process by signal " + std::to_string(WTERMSIG(status));
      return WEXITSTATUS(status) == 0 ? "" : "ends the process with exit code " + std::to_string(WEXITSTATUS(status));
    }
    const double now = seconds_on(CLOCK_MONOTONIC);
    if (shared.number != seen) since = now;
    seen = shared.number;
    const double started = shared.started;
    const bool is_slow = started >= 0 && seconds_on(clock) - started > kMostSeconds;
    if (!is_slow && now - since < kMostWaiting) continue;
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    return "takes longer than " + std::to_string(kMostSeconds) + " s";
  }
}

void tell_failure(const Plan& plan, const Shared& shared, const std::string& what) {
  const fs::path file = plan.failures / ("failed_" + plan.name);
  std::ofstream(file, std::ios::binary).write(shared.bytes, static_cast<std::streamsize>(shared.size));
  const std::uint64_t number = shared.number;
  const std::string which = number < plan.seeds.size() ? "seed " + plan.seed_names[number]
                                                       : "mutation " + std::to_string(number - plan.seeds.size());
  std::fprintf(stderr, "FAILED: target %s, %s: %s\nits %zu bytes are in %s\nagain: bsq_fuzz_tests %s %s\n",
               plan.name.c_str(), which.c_str(), what.c_str(), shared.size, file.c_str(), plan.name.c_str(),
               file.c_str());
}

int run(const Plan& plan) {
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) refuse("no memory to watch a process with");
  auto& shared = *new (memory) Shared;
  const pid_t child = ::fork();
  if (child < 0) refuse("no process can be started");
  if (child == 0) {
    run_all(plan, shared);
    std::exit(0);
  }
  const std::string what = watch(child, shared);
  std::error_code ignored;
  fs::remove_all(bsq::fuzz::scratch_of(child), ignored);
  if (!what.empty()) {
    tell_failure(plan, shared, what);
    return 1;
  }
  std::printf("%s: %zu seeds, %llu inputs\n", plan.name.c_str(), plan.seeds.size(),
              static_cast<unsigned long long>(shared.number + 1));
  return 0;
}

void add_seeds(Plan& plan, const fs::path& path) {
  std::vector<fs::path> files;
  if (fs::is_directory(path))
    for (const auto& entry : fs::directory_iterator(path)) files.push_back(entry.path());
  else if (fs::is_regular_file(path))
    files.push_back(path);
  if (files.empty()) refuse(path.string() + ": neither a file nor a folder with seeds");
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    plan.seed_names.push_back(file.filename().string());
    plan.seeds.push_back(read_whole(file));
  }
}

template <typename T>
T number_of(const std::string& text) {
  T value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) refuse(text + " is no number");
  return value;
}

Plan plan_of(const std::vector<std::string>& words) {
  if (words.size() < 2) refuse("usage: bsq_fuzz_tests TARGET CORPUS [--seconds S] [--first N] [--runs N]");
  Plan plan;
  plan.name = words[0];
  for (const NamedTarget& target : kTargets)
    if (plan.name == target.name) plan.target = target.run;
  if (plan.target == nullptr) refuse("no target is called " + plan.name);
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (!words[i].starts_with("--")) {
      add_seeds(plan, words[i]);
      continue;
    }
    if (i + 1 == words.size()) refuse(words[i] + " needs a value");
    const std::string& value = words[i + 1];
    if (words[i] == "--seconds")
      plan.seconds = number_of<double>(value);
    else if (words[i] == "--first")
      plan.first = number_of<std::uint64_t>(value);
    else if (words[i] == "--runs")
      plan.runs = number_of<std::uint64_t>(value);
    else if (words[i] == "--failures")
      plan.failures = value;
    else
      refuse("there is no option " + words[i]);
    ++i;
  }
  if (plan.seeds.empty()) refuse("no seeds");
  if (plan.seconds == 0 && plan.runs != kNoLimit) plan.seconds = std::numeric_limits<double>::infinity();
  return plan;
}

}  // namespace

int main(int argc, char** argv) {
  return run(plan_of({argv + 1, argv + argc}));
}
