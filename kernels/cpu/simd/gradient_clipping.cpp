// Gradient clipping: squares of all tensors, sixteen at a time, in double, chunks added up in their order; then, where
// they are too large, one more pass.
#include "kernels/cpu/simd/variant.h"
#include "kernels/cpu/simd/weight_chunks.h"

#include <cmath>

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

/// The factor that makes squares those of the gradients of weights; a tensor whose unit is 0 has none.
BSQ_LANES_INLINE double factor_of_squares(const GradientTensor& tensor) {
  if (tensor.unit == nullptr) return 1.0;
  const auto unit = static_cast<double>(*tensor.unit);
  return unit == 0 ? 0.0 : 1.0 / (unit * unit);
}

}  // namespace

std::size_t clip_scratch_bytes(const DeviceTable<GradientTensor>& tensors) {
  return static_cast<std::size_t>(total_chunks(tensors.host)) * sizeof(double);
}

void clip_gradients(const ClipGradientsArgs& args) {
  auto* partials = static_cast<double*>(args.scratch);
  const std::int64_t chunks = total_chunks(args.tensors.host);
#pragma omp parallel for schedule(static)
  for (std::int64_t index = 0; index < chunks; ++index) {
    const Chunk chunk = find_chunk(args.tensors.host, index);
    const GradientTensor& tensor = args.tensors.host.data()[chunk.tensor];
    DoubleLanes squares{};
    for_lanes(chunk.begin, chunk.end, [&]<bool Full>(std::int64_t at, int count) {
      const DoubleLanes gradient = widen(load_lanes<Full>(args.gradients + tensor.weight_offset + at, count));
      squares += gradient * gradient;
    });
    double sum = 0;
    for (int lane = 0; lane < kLanes; ++lane) sum += squares[lane];
    partials[index] = sum * factor_of_squares(tensor);
  }
  double squares = 0;
  for (std::int64_t index = 0; index < chunks; ++index) squares += partials[index];
  const auto factor = static_cast<float>(static_cast<double>(args.max_norm) / (std::sqrt(squares) + kNormMargin));
  if (factor >= 1) return;  // not so a NaN
#pragma omp parallel for schedule(static)
  for (std::int64_t index = 0; index < chunks; ++index) {
    const Chunk chunk = find_chunk(args.tensors.host, index);
    float* gradients = args.gradients + args.tensors.host.data()[chunk.tensor].weight_offset;
    for_lanes(chunk.begin, chunk.end, [&]<bool Full>(std::int64_t at, int count) {
      store_lanes<Full>(gradients + at, factor * load_lanes<Full>(gradients + at, count), count);
    });
  }
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
