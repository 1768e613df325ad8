// NCCL for tests, among processes of one machine: sums and maxima through shared memory, in the order of the ranks. It
// puts its work on the streams of the library that calls it, so that it is captured where they are.
//
// BSQ_STAND_IN_NCCL="fails=ncclCommInitRank error=2": this call returns this ncclResult_t. "good_sums=10": the sums
// after so many never end, and the error is to be seen by ncclCommGetAsyncError alone.
#include <nccl.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr std::size_t kChunkFloats = 4096;
constexpr int kMostRanks = 16;

struct Shared {
  std::atomic<unsigned> arrived;
  std::atomic<unsigned> round;
  float floats[kMostRanks][kChunkFloats];
};

struct Faults {
  std::string fails;
  int error = ncclInternalError;
  long good_sums = -1;
};

const Faults& faults() {
  static const Faults from_environment = [] {
    Faults read;
    const char* variable = std::getenv("BSQ_STAND_IN_NCCL");
    std::istringstream words(variable == nullptr ? "" : variable);
    for (std::string name; std::getline(words >> std::ws, name, '=');) {
      if (name == "fails") words >> read.fails;
      if (name == "error") words >> read.error;
      if (name == "good_sums") words >> read.good_sums;
    }
    return read;
  }();
  return from_environment;
}

ncclResult_t result_of(const char* call) {
  return faults().fails == call ? static_cast<ncclResult_t>(faults().error) : ncclSuccess;
}

using LaunchHostFunction = cudaError_t (*)(cudaStream_t, cudaHostFn_t, void*);

/// cudaLaunchHostFunc of the library that holds `address`.
LaunchHostFunction launcher_of(const void* address) {
  Dl_info caller{};
  void* library = dladdr(address, &caller) == 0 ? nullptr : dlopen(caller.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  return library == nullptr ? nullptr : reinterpret_cast<LaunchHostFunction>(dlsym(library, "cudaLaunchHostFunc"));
}

}  // namespace

struct ncclComm {
  int rank = 0;
  int world = 1;
  Shared* shared = nullptr;
  std::vector<float> weights;  // of the operators made so far
  struct Sum {
    ncclComm* comm;
    const float* input;
    float* output;
    std::size_t count;
    float weight;
    bool is_maximum;
  };
  std::deque<Sum> sums;  // enqueued; those in a graph run many times
  std::atomic<long> sums_begun = 0;
  std::atomic<bool> is_lost = false;
};

namespace {

/// Waits for all ranks, without end for one that is gone.
void meet(const ncclComm& comm) {
  Shared& shared = *comm.shared;
  const unsigned round = shared.round.load();
  if (shared.arrived.fetch_add(1) + 1 == static_cast<unsigned>(comm.world)) {
    shared.arrived = 0;
    ++shared.round;
    return;
  }
  while (shared.round.load() == round) ::usleep(50);
}

void run_sum(void* data) {
  const ncclComm::Sum& sum = *static_cast<ncclComm::Sum*>(data);
  ncclComm& comm = *sum.comm;
  if (faults().good_sums >= 0 && comm.sums_begun++ >= faults().good_sums) {
    comm.is_lost = true;
    while (true) ::usleep(1000);
  }
  float(&floats)[kMostRanks][kChunkFloats] = comm.shared->floats;
  for (std::size_t first = 0; first < sum.count; first += kChunkFloats) {
    const std::size_t count = std::min(kChunkFloats, sum.count - first);
    for (std::size_t i = 0; i < count; ++i) floats[comm.rank][i] = sum.weight * sum.input[first + i];
    meet(comm);
    for (std::size_t i = 0; i < count; ++i) {
      float total = floats[0][i];
      for (int rank = 1; rank < comm.world; ++rank)
        total = sum.is_maximum ? std::max(total, floats[rank][i]) : total + floats[rank][i];
      sum.output[first + i] = total;
    }
    meet(comm);
  }
}

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION(2, 99, 1);
  return result_of("ncclGetVersion");
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess: return "no error";
    case ncclSystemError: return "unhandled system error";
    case ncclRemoteError: return "remote process exited or there was a network error";
    default: return "another error";
  }
}

const char* ncclGetLastError(ncclComm_t /*comm*/) {
  return "the stand-in was told to";
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static int made = 0;
  std::snprintf(id->internal, sizeof(id->internal), "/bsq-nccl-%d-%lx-%d", ::getpid(),
                static_cast<unsigned long>(::time(nullptr)), made++);
  return result_of("ncclGetUniqueId");
}

ncclResult_t ncclCommInitRank(ncclComm_t* comm, int world, ncclUniqueId id, int rank) {
  if (const ncclResult_t fails = result_of("ncclCommInitRank")) return fails;
  if (world > kMostRanks) return ncclInvalidArgument;
  const int file = ::shm_open(id.internal, O_CREAT | O_RDWR, 0600);
  if (file < 0 || ::ftruncate(file, sizeof(Shared)) != 0) return ncclSystemError;
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (memory == MAP_FAILED) return ncclSystemError;
  auto* made = new ncclComm;
  made->rank = rank;
  made->world = world;
  made->shared = static_cast<Shared*>(memory);
  meet(*made);
  ::shm_unlink(id.internal);
  *comm = made;
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  ::munmap(comm->shared, sizeof(Shared));
  delete comm;
  return ncclSuccess;
}

/// Of all ranks together.
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  meet(*comm);
  return ncclCommAbort(comm);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  *error = comm->is_lost ? ncclRemoteError : ncclSuccess;
  return ncclSuccess;
}

ncclResult_t ncclRedOpCreatePreMulSum(ncclRedOp_t* op, void* scalar, ncclDataType_t type,
                                      ncclScalarResidence_t residence, ncclComm_t comm) {
  if (type != ncclFloat || residence != ncclScalarHostImmediate) return ncclInvalidArgument;
  comm->weights.push_back(*static_cast<const float*>(scalar));
  *op = static_cast<ncclRedOp_t>(ncclNumOps + static_cast<int>(comm->weights.size()) - 1);
  return result_of("ncclRedOpCreatePreMulSum");
}

ncclResult_t ncclRedOpDestroy(ncclRedOp_t op, ncclComm_t comm) {
  return op >= ncclNumOps && op < ncclNumOps + static_cast<int>(comm->weights.size()) ? ncclSuccess
                                                                                      : ncclInvalidArgument;
}

ncclResult_t ncclAllReduce(const void* input, void* output, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream) {
  if (const ncclResult_t fails = result_of("ncclAllReduce")) return fails;
  const int made = static_cast<int>(op) - ncclNumOps;
  const bool is_maximum = op == ncclMax;
  if (type != ncclFloat || (!is_maximum && (made < 0 || made >= static_cast<int>(comm->weights.size()))))
    return ncclInvalidArgument;
  static const LaunchHostFunction launch = launcher_of(__builtin_return_address(0));
  if (launch == nullptr) return ncclInternalError;
  comm->sums.push_back({comm, static_cast<const float*>(input), static_cast<float*>(output), count,
                        is_maximum ? 1.0F : comm->weights[static_cast<std::size_t>(made)], is_maximum});
  return launch(stream, run_sum, &comm->sums.back()) == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}

}  // extern "C"
