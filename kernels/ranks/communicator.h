// How the processes of one run, its ranks, talk to each other: one interface; one file for a single process, one for
// MPI.
//
// In kernels/, not in engine/, because a GPU's library (NCCL) implements it inside the plug-in of its backend, on top
// of the one that has started the ranks: Backend::connect. Two kinds of calls, all of them collective, made by every
// rank in the same order:
// - on host memory: they return when the data is there; small things, a few times per epoch;
// - on device memory: enqueued behind the backend's work so far, like an operation of kernels/ops/. They allocate
// nothing
//   and wait for nothing on the host, so that a step that contains them can be captured. On a CPU device memory is host
//   memory and enqueued work is done when the call returns, which is all that the MPI communicator relies on.
//
// MPI is a plug-in (libbsq_mpi.so), not linked: bsq starts even if MPI is missing, and a process that no launcher
// has started neither loads it nor pays for MPI_Init (0.1 s and a dozen helper threads and sockets).
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>

namespace bsq {

/// Who a process is among the ranks of its run.
struct RankPlace {
  int rank = 0;
  int world = 1;       // how many ranks there are
  int local_rank = 0;  // among the ranks on this machine: which of its GPUs to take
};

class Communicator {
 public:
  explicit Communicator(const RankPlace& place) : place_(place) {}
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  int rank() const { return place_.rank; }
  int world() const { return place_.world; }
  int local_rank() const { return place_.local_rank; }
  /// One line for logs: `Open MPI v4.1.4`.
  virtual std::string describe() const = 0;
  /// A failure for which calls may wait without end, here or on the device; empty: none is known. This is the one call
  /// that is not collective, and that another thread may make.
  virtual std::string failure() const { return {}; }

  // ---- host memory ------------------------------------------------------------------------------------------------
  virtual void barrier() = 0;
  /// Every rank gets what rank 0 has.
  virtual void broadcast(void* host, std::size_t size_bytes) = 0;
  /// gathered: [world][size_bytes], in the order of the ranks, on every rank. Sums whose order must be fixed are made
  /// from it.
  virtual void all_gather(const void* host, std::size_t size_bytes, void* gathered) = 0;

  // ---- device memory ----------------------------------------------------------------------------------------------
  /// Begins to replace `count` floats by the sum over the ranks of weight * floats. A rank without a contribution gives
  /// finite floats and weight 0. NCCL calls it a pre-multiplied sum. The result has the same bits on every rank
  /// and in every run of as many ranks. Work enqueued before finish_reductions() must not touch the floats.
  virtual void start_weighted_sum(float* device, std::size_t count, float weight) = 0;
  /// The same with the largest over the ranks; no float is negative.
  virtual void start_maximum(float* device, std::size_t count) = 0;
  /// Work enqueued from here on sees the results of all reductions begun so far.
  virtual void finish_reductions() = 0;

  // ---- the end ----------------------------------------------------------------------------------------------------
  /// The last call of a rank at its end. A process that ends without it ends all others.
  virtual void finish() = 0;
  /// Ends the processes of all ranks, now; the launcher's exit code is this one.
  [[noreturn]] virtual void abort(int exit_code) = 0;

 private:
  RankPlace place_;
};

/// The ranks of another communicator, which must outlive this one: passes everything on to it. The communicators of
/// device libraries override their part.
class ForwardingCommunicator : public Communicator {
 public:
  explicit ForwardingCommunicator(Communicator& ranks)
      : Communicator({ranks.rank(), ranks.world(), ranks.local_rank()}), ranks_(ranks) {}

  std::string describe() const override { return ranks_.describe(); }
  std::string failure() const override { return ranks_.failure(); }
  void barrier() override { ranks_.barrier(); }
  void broadcast(void* host, std::size_t size_bytes) override { ranks_.broadcast(host, size_bytes); }
  void all_gather(const void* host, std::size_t size_bytes, void* gathered) override {
    ranks_.all_gather(host, size_bytes, gathered);
  }
  void start_weighted_sum(float* device, std::size_t count, float weight) override {
    ranks_.start_weighted_sum(device, count, weight);
  }
  void start_maximum(float* device, std::size_t count) override { ranks_.start_maximum(device, count); }
  void finish_reductions() override { ranks_.finish_reductions(); }
  void finish() override { ranks_.finish(); }
  [[noreturn]] void abort(int exit_code) override {
    ranks_.abort(exit_code);
    std::_Exit(exit_code);  // gcc does not believe that a virtual function is noreturn
  }

 private:
  Communicator& ranks_;
};

/// The communicator of a process by itself.
std::unique_ptr<Communicator> make_single_process();

/// The one of MPI if a launcher has started several processes (kernels/ranks/launch_environment.h), else that of a
/// single process. Throws Error(device) if there are several and MPI is missing: they must never become independent
/// runs.
std::unique_ptr<Communicator> make_communicator();

}  // namespace bsq
