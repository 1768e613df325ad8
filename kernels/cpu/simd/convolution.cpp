// The plain passes around oneDNN's convolutions: rounding weights to bf16, adding one gradient to another.
#include "kernels/cpu/simd/parallel_lanes.h"
#include "kernels/cpu/simd/variant.h"

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

template <typename T>
void accumulate_into(std::int64_t numel, const T* addend, T* sum) {
  parallel_lanes(numel, [=]<bool Full>(std::int64_t at, int count) {
    store_lanes<Full>(sum + at, load_lanes<Full>(sum + at, count) + load_lanes<Full>(addend + at, count), count);
  });
}

}  // namespace

void round_to_bf16(const RoundToBf16Args& args) {
  const float* values = args.values;
  auto* target = static_cast<Bf16*>(args.rounded);
  parallel_lanes(args.numel, [=]<bool Full>(std::int64_t at, int count) {
    store_lanes<Full>(target + at, load_lanes<Full>(values + at, count), count);
  });
}

void accumulate(DType dtype, std::int64_t numel, const void* addend, void* sum) {
  dtype == DType::bf16 ? accumulate_into(numel, static_cast<const Bf16*>(addend), static_cast<Bf16*>(sum))
                       : accumulate_into(numel, static_cast<const float*>(addend), static_cast<float*>(sum));
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
