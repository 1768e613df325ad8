// Ends this rank if another one has died, or if the connection between their GPUs has failed: whoever waits for the
// other, in MPI or in NCCL, would wait without end, or until a launcher kills it without a word.
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
  /// Tells people what is wrong. Called on a thread of its own, whatever the thread of the run is doing.
  using Report = std::function<void(const std::string& what)>;

  /// Watches until its end or stop(); does nothing for a rank by itself. `ranks` outlives it. To be made by all ranks.
  /// If several ranks of a machine see the same, the lowest reports at once and its process ends; the others report a
  /// little later. After its report a rank's process ends with exit code 5.
  RankWatch(Communicator& ranks, Report report);
  RankWatch(const RankWatch&) = delete;
  RankWatch& operator=(const RankWatch&) = delete;
  ~RankWatch() { stop(); }

  void stop();
  /// To be called after an error that the death of another rank may have caused before that death is visible. Ends this
  /// process if a rank has died, returns if not.
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
