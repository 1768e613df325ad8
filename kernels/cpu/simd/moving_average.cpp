// Moving averages: sixteen numbers at a time.
#include "kernels/cpu/simd/variant.h"
#include "kernels/cpu/simd/weight_chunks.h"

namespace bsq::BSQ_SIMD_NAMESPACE {

void update_average(const UpdateAverageArgs& args) {
  const std::int64_t chunks = total_chunks(args.tensors.host);
#pragma omp parallel for schedule(static)
  for (std::int64_t index = 0; index < chunks; ++index) {
    const Chunk chunk = find_chunk(args.tensors.host, index);
    const AveragedTensor& tensor = args.tensors.host.data()[chunk.tensor];
    float* averages = args.averages + tensor.weight_offset;
    for_lanes(chunk.begin, chunk.end, [&]<bool Full>(std::int64_t at, int count) {
      const FloatLanes average = load_lanes<Full>(averages + at, count);
      const FloatLanes value = load_lanes<Full>(tensor.values + at, count);
      store_lanes<Full>(averages + at, average + args.weight * (value - average), count);
    });
  }
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
