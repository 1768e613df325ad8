#include "tools/session/rank_watch.h"

#include "kernels/base/error.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <chrono>

namespace bsq {
namespace {

// mpirun kills the others a second after the first has died.
constexpr auto kPeriod = std::chrono::milliseconds(100);
// How long the other ranks wait for the lowest one to report.
constexpr auto kPrecedence = std::chrono::seconds(2);
// A dying process closes its connections a moment before it is gone.
constexpr int kCloserLooks = 5;

/// "rank 1 (process 123) has died", or nothing.
std::string peers_text(const std::vector<Peer>& dead) {
  if (dead.empty()) return {};
  std::vector<std::string> names;
  for (const Peer& peer : dead) names.push_back(fmt::format("rank {} (process {})", peer.rank, peer.process));
  return fmt::format("{} {} died", fmt::join(names, ", "), dead.size() == 1 ? "has" : "have");
}

}  // namespace

RankWatch::RankWatch(Communicator& ranks, Report report) : ranks_(ranks), report_(std::move(report)) {
  if (ranks.world() == 1) return;
  peers_ = find_local_peers(ranks);
  thread_ = std::thread([this] { watch(); });
}

void RankWatch::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  stopping_.notify_all();
  thread_.join();
}

void RankWatch::look_closer() {
  if (!thread_.joinable()) return;
  stop();
  for (int look = 0; look < kCloserLooks; ++look) {
    end_if_failed();
    std::this_thread::sleep_for(kPeriod);
  }
}

void RankWatch::watch() {
  std::unique_lock lock(mutex_);
  while (!stopping_.wait_for(lock, kPeriod, [this] { return stops_; })) end_if_failed();
}

void RankWatch::end_if_failed() {
  std::vector<Peer> dead;
  bool is_lowest = true;
  for (const Peer& peer : peers_) {
    if (!peer.is_alive())
      dead.push_back(peer);
    else if (peer.rank < ranks_.rank())
      is_lowest = false;
  }
  std::string what = peers_text(dead);
  if (what.empty()) what = ranks_.failure();
  if (what.empty()) return;
  if (!is_lowest) std::this_thread::sleep_for(kPrecedence);
  try {
    report_(what);
  } catch (const std::exception&) {  // the report failed; the process ends all the same
  }
  ::_exit(static_cast<int>(ErrorKind::device));  // no destructor, no MPI_Finalize: they would wait for the dead
}

}  // namespace bsq
