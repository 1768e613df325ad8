// The oracle's memory. Its operations: the other files of this folder, one per family.
#include "kernels/reference/reference_backend.h"

#include "kernels/host_memory.h"

#include <cstdlib>
#include <cstring>

namespace bsq {
namespace {

class ReplayedFunction final : public CapturedWork {
 public:
  explicit ReplayedFunction(std::function<void()> enqueue) : enqueue_(std::move(enqueue)) {}
  void replay() override { enqueue_(); }

 private:
  std::function<void()> enqueue_;
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() {
  return std::make_unique<ReferenceBackend>();
}

bool ReferenceBackend::supports(Precision precision, std::string& why) const {
  if (precision != Precision::tf32) return true;
  why = "tf32 is a precision that only GPUs have";
  return false;
}

// ---- memory -------------------------------------------------------------------------------------------------------

void* ReferenceBackend::allocate(std::size_t size_bytes) {
  return allocate_host_memory(size_bytes);
}

void ReferenceBackend::release(void* data) noexcept {
  release_host_memory(data);
}

void ReferenceBackend::upload(void* device, const void* host, std::size_t size_bytes) {
  if (size_bytes > 0) std::memcpy(device, host, size_bytes);
}

void ReferenceBackend::download(void* host, const void* device, std::size_t size_bytes) {
  if (size_bytes > 0) std::memcpy(host, device, size_bytes);
}

void ReferenceBackend::copy(void* to, const void* from, std::size_t size_bytes) {
  if (size_bytes > 0) std::memcpy(to, from, size_bytes);
}

void ReferenceBackend::fill_zero(void* device, std::size_t size_bytes) {
  if (size_bytes > 0) std::memset(device, 0, size_bytes);
}

std::unique_ptr<CapturedWork> ReferenceBackend::capture(std::function<void()> enqueue) {
  return std::make_unique<ReplayedFunction>(std::move(enqueue));
}

}  // namespace bsq
