// CpuBackend: memory, and the operations that are handed to the loops in simd/.
#include "kernels/cpu/cpu_backend.h"

#include "kernels/base/error.h"
#include "kernels/base/thread_count.h"
#include "kernels/host_memory.h"

#include <omp.h>

#include <cstdlib>
#include <cstring>

namespace bsq {
namespace {

class ReplayedCalls final : public CapturedWork {
 public:
  explicit ReplayedCalls(std::function<void()> enqueue) : enqueue_(std::move(enqueue)) {}
  void replay() override { enqueue_(); }

 private:
  std::function<void()> enqueue_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(const BackendOptions& options) {
  return std::make_unique<CpuBackend>(options);
}

CpuBackend::CpuBackend(const BackendOptions& options)
    : threads_(options.threads > 0 ? options.threads : default_threads().threads), simd_(select_simd_kernels()) {
  omp_set_num_threads(threads_);
}

std::string CpuBackend::describe() const {
  return fmt::format("cpu, {} thread{}, {}, own loops for {}", threads_, threads_ == 1 ? "" : "s", describe_onednn(),
                     simd_.instruction_set);
}

bool CpuBackend::supports(Precision precision, std::string& why) const {
  if (precision == Precision::fp32 || (precision == Precision::bf16 && onednn_has_bf16())) return true;
  why = precision == Precision::bf16 ? "this CPU has no bf16 instructions (AVX512_BF16)"
                                     : "tf32 is a precision that only GPUs have";
  return false;
}

// ---- memory -----------------------------------------------------------------------------------------------------

void* CpuBackend::allocate(std::size_t size_bytes) {
  return allocate_host_memory(size_bytes);
}

void CpuBackend::release(void* data) noexcept {
  release_host_memory(data);
}
void CpuBackend::upload(void* device, const void* host, std::size_t size_bytes) {
  if (size_bytes > 0) std::memcpy(device, host, size_bytes);
}
void CpuBackend::download(void* host, const void* device, std::size_t size_bytes) {
  if (size_bytes > 0) std::memcpy(host, device, size_bytes);
}
void CpuBackend::copy(void* to, const void* from, std::size_t size_bytes) {
  if (size_bytes > 0) std::memcpy(to, from, size_bytes);
}
void CpuBackend::fill_zero(void* device, std::size_t size_bytes) {
  if (size_bytes > 0) std::memset(device, 0, size_bytes);
}

std::unique_ptr<CapturedWork> CpuBackend::capture(std::function<void()> enqueue) {
  return std::make_unique<ReplayedCalls>(std::move(enqueue));
}

// ---- the operations of simd/ --------------------------------------------------------------------------------------

#define BSQ_OPERATION(name, Args)           \
  void CpuBackend::name(const Args& args) { \
    simd_.name(args);                       \
  }
#define BSQ_SCRATCH(name, Of)                  \
  std::size_t CpuBackend::name(const Of& of) { \
    return simd_.name(of);                     \
  }
#include "kernels/cpu/simd/operations.def"

}  // namespace bsq
