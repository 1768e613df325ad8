// Ranks that are processes of an MPI job; device memory is host memory.
//
// Reductions are MPI_Iallreduce: Open MPI picks the algorithm by size and number of ranks, none of which depends on
// timing, and all of which leave the same bits on every rank.
#pragma once

#include "kernels/ranks/communicator.h"

#include <mpi.h>

#include <vector>

namespace bsq::mpi {

/// What the library says about itself, cut to name and version.
std::string library_version();

class MpiCommunicator final : public Communicator {
 public:
  /// The ranks of MPI_COMM_WORLD, after MPI_Init.
  explicit MpiCommunicator(const RankPlace& place) : Communicator(place) {}

  std::string describe() const override { return library_version(); }
  void barrier() override;
  void broadcast(void* host, std::size_t size_bytes) override;
  void all_gather(const void* host, std::size_t size_bytes, void* gathered) override;
  void start_weighted_sum(float* device, std::size_t count, float weight) override;
  void start_maximum(float* device, std::size_t count) override;
  void finish_reductions() override;
  void finish() override;
  [[noreturn]] void abort(int exit_code) override;

 private:
  void start_reduction(float* device, std::size_t count, MPI_Op operation);

  std::vector<MPI_Request> requests_;  // of the reductions under way
};

/// Starts MPI and finds out who this process is.
std::unique_ptr<Communicator> make_mpi_communicator();

}  // namespace bsq::mpi
