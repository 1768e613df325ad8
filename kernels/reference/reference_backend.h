// The oracle: every operation of kernels/ops/ in plain loops with double accumulation. It is the readable form of every
// operation, and all other backends are compared with it. Runs at once, in the calling thread; needs no scratch memory.
//
// What the contracts leave open is settled here: a bf16 convolution multiplies weights rounded to bf16; batch
// statistics of a single row have the unbiased variance 0; a NaN activation makes the quantizer's scale, and so all of
// y, NaN.
#pragma once

#include "kernels/backend.h"
#include "kernels/planned_passes.h"

namespace bsq {

class ReferenceBackend final : public Backend {
 public:
  std::string name() const override { return "reference"; }
  std::string describe() const override { return "reference: plain loops, double accumulation, 1 thread"; }
  /// fp32 and bf16.
  bool supports(Precision precision, std::string& why) const override;

  // memory: 64-byte aligned host memory; a capture stores the function and replays it
  void* allocate(std::size_t size_bytes) override;
  void release(void* data) noexcept override;
  void upload(void* device, const void* host, std::size_t size_bytes) override;
  void download(void* host, const void* device, std::size_t size_bytes) override;
  void copy(void* to, const void* from, std::size_t size_bytes) override;
  void fill_zero(void* device, std::size_t size_bytes) override;
  void synchronize() override {}
  std::unique_ptr<CapturedWork> capture(std::function<void()> enqueue) override;

  // The operations, one file per family in this folder.
#define BSQ_OPERATION(family, name, Args) void name(const Args& args) override;
#define BSQ_SCRATCH(family, name, Of) std::size_t name(const Of& of) override;
#include "kernels/ops/operations.def"

 private:
  PlannedPasses planned_;
};

std::unique_ptr<Backend> make_reference_backend();

}  // namespace bsq
