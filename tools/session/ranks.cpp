// Starting together, and ending together.
#include "tools/session/ranks.h"

#include "engine/ranks/ranks.h"
#include "kernels/base/error.h"
#include "kernels/base/thread_count.h"
#include "kernels/ranks/launch_environment.h"
#include "tools/cli/failure.h"
#include "tools/cli/output.h"
#include "tools/cli/signals.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iostream>
#include <thread>

namespace bsq {
namespace {

/// If something is wrong on every rank, rank 0 reports it, and its launcher ends the others within this time: mpirun
/// takes a second.
constexpr auto kGrace = std::chrono::seconds(3);

/// Prints what a rank other than 0 has to say, unless rank 0 ends this process before; returns the exit code.
int report_as_rank(int rank, const Failure& failure) {
  const bool was_asked_to_stop = take_request() == Request::stop;  // by a person, before the failure
  const auto is_being_ended = [&] { return !was_asked_to_stop && take_request() == Request::stop; };
  const auto end = std::chrono::steady_clock::now() + kGrace;
  while (std::chrono::steady_clock::now() < end && !is_being_ended())
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  if (!is_being_ended()) print_failure(failure, fmt::format("rank {}: ", rank));
  return static_cast<int>(ErrorKind::device);
}

}  // namespace

int run_on_ranks(const std::function<int(Communicator&)>& command) {
  std::optional<Launch> launch;
  std::unique_ptr<Communicator> ranks;
  try {
    launch = find_launch();
    ranks = make_communicator();
    if (ranks->rank() > 0) lead_stdout_nowhere();
    const int exit_code = command(*ranks);
    ranks->finish();
    return exit_code;
  } catch (...) {
    const RankPlace place = launch ? launch->place : RankPlace{};
    const int rank = ranks ? ranks->rank() : place.rank;
    if (rank == 0 && (!ranks || ranks->world() == 1)) throw;
    const Failure failure = current_failure();
    int exit_code = failure.exit_code;
    if (rank == 0)
      print_failure(failure);
    else
      exit_code = report_as_rank(rank, failure);
    if (ranks) ranks->abort(exit_code);
    return exit_code;
  }
}

void refuse_ranks(const std::string& command) {
  const std::optional<Launch> launch = find_launch();
  if (!launch || launch->place.world == 1) return;
  if (launch->place.rank > 0) std::this_thread::sleep_for(kGrace);
  fail(ErrorKind::usage, "bsq {} is for one process ({} = {}); start it without mpirun", command,
       launch->world_variable, launch->place.world);
}

Console console_of(const ConsoleFlags& flags, const Communicator& ranks) {
  if (ranks.rank() == 0) return flags.console();
  return {std::cerr, {.verbosity = Verbosity::silent}};
}

int threads_of(const Config& config, Communicator& ranks) {
  if (config.threads != 0 || ranks.world() == 1) return config.threads;
  struct Seat {
    std::array<char, 64> machine;
    cpu_set_t cores;
  };
  Seat own{};
  ::gethostname(own.machine.data(), own.machine.size() - 1);
  if (::sched_getaffinity(0, sizeof(own.cores), &own.cores) != 0) CPU_SET(0, &own.cores);
  cpu_set_t together;
  CPU_ZERO(&together);
  int neighbours = 0;
  for (const Seat& seat : gather(ranks, std::span<const Seat>(&own, 1))) {
    if (seat.machine != own.machine) continue;
    ++neighbours;
    CPU_OR(&together, &together, &seat.cores);
  }
  int threads = std::min(CPU_COUNT(&own.cores), std::max(1, CPU_COUNT(&together) / neighbours));
  // A control group is the machine's, for all of its ranks; OMP_NUM_THREADS is each rank's own.
  if (const std::optional<double> quota = cpu_quota())
    threads = std::min(threads, std::max(1, static_cast<int>(*quota) / neighbours));
  return std::min(threads, openmp_threads().value_or(threads));
}

void check_same_text(Communicator& ranks, const std::string& own, ErrorKind kind, std::string_view what) {
  const bool differs = broadcast_text(ranks, own) != own;
  if (const int rank = largest_of(ranks, differs ? ranks.rank() : 0); rank > 0) fail(kind, "rank {} {}", rank, what);
}

int largest_of(Communicator& ranks, int own) {
  const std::vector<int> all = gather(ranks, std::span<const int>(&own, 1));
  return *std::max_element(all.begin(), all.end());
}

}  // namespace bsq
