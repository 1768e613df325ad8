// Ends this rank if another one has died, or what lies between their GPUs has failed: whoever waits for it, in MPI
// or in NCCL, would wait without end, or until a launcher kills it without a word.
#pragma once

#include "engine/ranks/local_peers.h"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace bsq {

class RankWatch {
 public:
  /// Says what is wrong to whom it concerns. Called in another thread, while that of the run is anywhere.
  using Report = std::function<void(const std::string& what)>;

  /// Watches until its end or stop(); nothing for a rank by itself. `ranks` outlives it. To be made by all ranks. Of
  /// the ranks on a machine that see the same, the lowest reports at once, and the others a little later, by which time
  /// the process of the lowest has ended; then a rank's process ends too, with exit code 5.
  RankWatch(Communicator& ranks, Report report);
  RankWatch(const RankWatch&) = delete;
  RankWatch& operator=(const RankWatch&) = delete;
  ~RankWatch() { stop(); }

  void stop();
  /// After an error that the death of another rank may have caused, shortly before it is to be seen: ends this process
  /// if it has, returns if not.
  void look_closer();

 private:
  void watch();
  void end_if_failed();

  Communicator& ranks_;
  Report report_;
  std::vector<Peer> peers_;
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stops_ = false;
  std::thread thread_;
};

}  // namespace bsq
