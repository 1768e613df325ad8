// Every call is checked: MPI_ERRORS_RETURN, so that a failure becomes an Error like any other.
#include "kernels/ranks/mpi/mpi_communicator.h"

#include "kernels/base/error.h"

#include <array>
#include <cstdlib>
#include <limits>

namespace bsq::mpi {
namespace {

void check(int status, const char* call) {
  if (status == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(status, text.data(), &length);
  fail(ErrorKind::device, "{}: {}; is another rank gone?", call, text.data());
}

int to_count(std::size_t count) {
  require(count <= static_cast<std::size_t>(std::numeric_limits<int>::max()), "{} elements in one MPI call", count);
  return static_cast<int>(count);
}

}  // namespace

std::string library_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  const std::string version = text.data();
  return version.substr(0, version.find_first_of(",\n"));
}

void MpiCommunicator::barrier() {
  check(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier");
}

void MpiCommunicator::broadcast(void* host, std::size_t size_bytes) {
  check(MPI_Bcast(host, to_count(size_bytes), MPI_BYTE, 0, MPI_COMM_WORLD), "MPI_Bcast");
}

void MpiCommunicator::all_gather(const void* host, std::size_t size_bytes, void* gathered) {
  const int count = to_count(size_bytes);
  check(MPI_Allgather(host, count, MPI_BYTE, gathered, count, MPI_BYTE, MPI_COMM_WORLD), "MPI_Allgather");
}

void MpiCommunicator::start_weighted_sum(float* device, std::size_t count, float weight) {
  for (std::size_t i = 0; i < count; ++i) device[i] *= weight;
  start_reduction(device, count, MPI_SUM);
}

void MpiCommunicator::start_maximum(float* device, std::size_t count) {
  start_reduction(device, count, MPI_MAX);
}

void MpiCommunicator::start_reduction(float* device, std::size_t count, MPI_Op operation) {
  requests_.push_back(MPI_REQUEST_NULL);
  check(MPI_Iallreduce(MPI_IN_PLACE, device, to_count(count), MPI_FLOAT, operation, MPI_COMM_WORLD, &requests_.back()),
        "MPI_Iallreduce");
  // MPI moves data inside calls only: this call moves reductions begun earlier on, while the backward pass is under
  // way.
  int all_done = 0;
  check(MPI_Testall(to_count(requests_.size()), requests_.data(), &all_done, MPI_STATUSES_IGNORE), "MPI_Testall");
}

void MpiCommunicator::finish_reductions() {
  check(MPI_Waitall(to_count(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE), "MPI_Waitall");
  requests_.clear();
}

void MpiCommunicator::finish() {
  check(MPI_Finalize(), "MPI_Finalize");
}

void MpiCommunicator::abort(int exit_code) {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

std::unique_ptr<Communicator> make_mpi_communicator() {
  int provided = 0;
  check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  RankPlace place;
  check(MPI_Comm_rank(MPI_COMM_WORLD, &place.rank), "MPI_Comm_rank");
  check(MPI_Comm_size(MPI_COMM_WORLD, &place.world), "MPI_Comm_size");
  MPI_Comm machine = MPI_COMM_NULL;
  check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, place.rank, MPI_INFO_NULL, &machine),
        "MPI_Comm_split_type");
  check(MPI_Comm_rank(machine, &place.local_rank), "MPI_Comm_rank");
  check(MPI_Comm_free(&machine), "MPI_Comm_free");
  return std::make_unique<MpiCommunicator>(place);
}

}  // namespace bsq::mpi
