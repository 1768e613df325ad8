// Sums are ncclAllReduce with a pre-multiplied sum: NCCL uses neither atomics for it nor (src/include/device.h,
// ncclNvlsSupported) the sums inside NVSwitch, so that for given GPUs and sizes the order is fixed.
#include "kernels/cuda/nccl/nccl.h"

#include "kernels/base/error.h"
#include "kernels/cuda/check.h"

#include <dlfcn.h>
#include <nccl.h>

#include <cstring>
#include <exception>
#include <future>
#include <map>
#include <thread>
#include <utility>

namespace bsq::cuda {
namespace {

static_assert(sizeof(NcclId) == sizeof(ncclUniqueId));

constexpr const char* kLibraryFile = "libnccl.so.2";

/// The functions of the library.
struct Nccl {
  decltype(&ncclGetVersion) get_version;
  decltype(&ncclGetErrorString) get_error_string;
  decltype(&ncclGetLastError) get_last_error;
  decltype(&ncclGetUniqueId) get_unique_id;
  decltype(&ncclCommInitRank) comm_init_rank;
  decltype(&ncclCommDestroy) comm_destroy;
  decltype(&ncclCommAbort) comm_abort;
  decltype(&ncclCommGetAsyncError) comm_get_async_error;
  decltype(&ncclRedOpCreatePreMulSum) red_op_create_pre_mul_sum;
  decltype(&ncclRedOpDestroy) red_op_destroy;
  decltype(&ncclAllReduce) all_reduce;
};

template <typename Function>
void find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
  if (function == nullptr) fail(ErrorKind::device, "{} is too old, it has no {}", kLibraryFile, name);
}

Nccl load() {
  void* library = dlopen(kLibraryFile, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail(ErrorKind::device, "{}", dlerror());
  Nccl nccl{};
  find(library, "ncclGetVersion", nccl.get_version);
  find(library, "ncclGetErrorString", nccl.get_error_string);
  find(library, "ncclGetLastError", nccl.get_last_error);
  find(library, "ncclGetUniqueId", nccl.get_unique_id);
  find(library, "ncclCommInitRank", nccl.comm_init_rank);
  find(library, "ncclCommDestroy", nccl.comm_destroy);
  find(library, "ncclCommAbort", nccl.comm_abort);
  find(library, "ncclCommGetAsyncError", nccl.comm_get_async_error);
  find(library, "ncclRedOpCreatePreMulSum", nccl.red_op_create_pre_mul_sum);
  find(library, "ncclRedOpDestroy", nccl.red_op_destroy);
  find(library, "ncclAllReduce", nccl.all_reduce);
  return nccl;
}

/// The library, loaded once and never unloaded, since it has threads of its own.
const Nccl& nccl() {
  static const Nccl loaded = load();
  return loaded;
}

const char* advice(ncclResult_t status) {
  switch (status) {
    case ncclSystemError:
    case ncclRemoteError:
      return "is another rank gone, or the network between the machines down? NCCL_DEBUG=INFO in the environment says "
             "more";
    default: return "NCCL_DEBUG=INFO in the environment says more";
  }
}

/// "NCCL: <call>: <text of the error> (<what NCCL says about the last error>); <advice>"
std::string explain(ncclResult_t status, const char* call) {
  const char* detail = nccl().get_last_error(nullptr);
  const bool has_detail = detail != nullptr && *detail != '\0';
  return fmt::format("NCCL: {}: {}{}; {}", call, nccl().get_error_string(status),
                     has_detail ? fmt::format(" ({})", detail) : "", advice(status));
}

void check(ncclResult_t status, const char* call) {
  if (status == ncclSuccess) return;
  fail(ErrorKind::device, "{}; `bsq train --resume RUN` goes on from the last checkpoint", explain(status, call));
}

class Handle final : public NcclHandle {
 public:
  explicit Handle(ncclComm_t comm) : comm_(comm) {}
  /// To be destroyed after every graph that has recorded a reduction: ncclCommDestroy waits for their end. So whoever
  /// owns a Communicator must destroy captured work first: a Stage dies within Experiment::run, before what
  /// Backend::connect() returned.
  ~Handle() override {
    if (std::uncaught_exceptions() > 0) {
      nccl().comm_abort(comm_);
      return;
    }
    for (const auto& [weight, sum] : sums_) nccl().red_op_destroy(sum, comm_);
    nccl().comm_destroy(comm_);
  }

  void weighted_sum(float* floats, std::size_t count, float weight, cudaStream_t stream) override {
    all_reduce(floats, count, sum_with(weight), stream);
  }

  void maximum(float* floats, std::size_t count, cudaStream_t stream) override {
    all_reduce(floats, count, ncclMax, stream);
  }

  std::string failure() const override {
    ncclResult_t status = ncclSuccess;
    const ncclResult_t asked = nccl().comm_get_async_error(comm_, &status);
    if (asked != ncclSuccess) status = asked;
    if (status == ncclSuccess || status == ncclInProgress) return {};
    return explain(status, "a reduction under way");
  }

 private:
  void all_reduce(float* floats, std::size_t count, ncclRedOp_t operation, cudaStream_t stream) {
    check(nccl().all_reduce(floats, floats, count, ncclFloat, operation, comm_, stream), "ncclAllReduce");
  }

  ncclRedOp_t sum_with(float weight) {
    const auto [found, is_new] = sums_.try_emplace(weight);
    if (is_new)
      check(nccl().red_op_create_pre_mul_sum(&found->second, &weight, ncclFloat, ncclScalarHostImmediate, comm_),
            "ncclRedOpCreatePreMulSum");
    return found->second;
  }

  ncclComm_t comm_;
  std::map<float, ncclRedOp_t> sums_;  // by weight: the rank's share of a full batch and of the last one, and 0
};

}  // namespace

std::string nccl_version() {
  int version = 0;
  check(nccl().get_version(&version), "ncclGetVersion");
  constexpr int major = 10000;
  constexpr int minor = 100;
  return fmt::format("{}.{}.{}", version / major, version % major / minor, version % minor);
}

NcclId make_nccl_id() {
  ncclUniqueId made{};
  check(nccl().get_unique_id(&made), "ncclGetUniqueId");
  NcclId id{};
  std::memcpy(id.data(), &made, sizeof(made));
  return id;
}

std::unique_ptr<NcclHandle> join_nccl(const NcclId& id, int rank, int world, int device,
                                      std::chrono::seconds patience) {
  // On a thread of its own, since NCCL waits without end for a rank that does not come; the thread is then left behind.
  std::packaged_task<ncclComm_t()> join([=, &library = nccl()] {
    BSQ_CUDA_CHECK(cudaSetDevice(device));
    ncclUniqueId unique{};
    std::memcpy(&unique, id.data(), sizeof(unique));
    ncclComm_t comm = nullptr;
    check(library.comm_init_rank(&comm, world, unique, rank), "ncclCommInitRank");
    return comm;
  });
  std::future<ncclComm_t> joined = join.get_future();
  std::thread(std::move(join)).detach();
  if (joined.wait_for(patience) != std::future_status::ready)
    fail(ErrorKind::device,
         "NCCL: ncclCommInitRank: the GPUs of {} ranks have not found each other within {} s; NCCL_DEBUG=INFO in the "
         "environment says more, NCCL_SOCKET_IFNAME which network they take",
         world, patience.count());
  return std::make_unique<Handle>(joined.get());
}

}  // namespace bsq::cuda
