// Gradient clipping: one launch adds up the squares of all tensors, whose last block makes the factor; the next one
// multiplies, or returns where nothing is to be done.
//
// Reads 4 bytes per number; where gradients are too long, 8 more are moved.
#include "kernels/cuda/device/weight_chunks.cuh"

namespace bsq::cuda {
namespace {

/// What the two launches share, in scratch memory.
struct ClipSums {
  double* factor = nullptr;   // [1]
  double* squares = nullptr;  // [chunk], of the gradients of weights
};

ClipSums clip_sums_in(void* scratch) {
  auto* numbers = static_cast<double*>(scratch);
  return {numbers, numbers + 1};
}

/// The factor that makes squares those of the gradients of weights; a tensor whose unit is 0 has none.
__device__ double factor_of_squares(const GradientTensor& tensor) {
  if (tensor.unit == nullptr) return 1.0;
  const double unit = *tensor.unit;
  return unit == 0 ? 0.0 : 1.0 / (unit * unit);
}

// grid one block per chunk, block kChunkThreads, one thread per vector of gradients
__global__ void add_squares(ClipGradientsArgs args, int num_tensors, ClipSums sums, GridMemory memory) {
  wait_for_previous();
  BSQ_SHARED(double, shared, [kChunkWarps]);
  const Chunk chunk(args.tensors.device, num_tensors);
  const GradientTensor tensor = args.tensors.device[chunk.tensor];
  double squares = 0;
  for_chunk(chunk, tensor, [&]<int Width>(std::int64_t index) {
    float gradient[Width];
    load<Width>(args.gradients + tensor.weight_offset + index, gradient);
    for (int i = 0; i < Width; ++i) squares += static_cast<double>(gradient[i]) * gradient[i];
  });
  squares = reduce_block(squares, shared, Sum());
  if (threadIdx.x == 0) sums.squares[blockIdx.x] = squares * factor_of_squares(tensor);
  if (!arrives_last(memory.last_counter(), gridDim.x)) return;
  double all = 0;
#pragma unroll 8
  for (unsigned block = threadIdx.x; block < gridDim.x; block += kChunkThreads) all += sums.squares[block];
  all = reduce_block(all, shared, Sum());
  if (threadIdx.x == 0) *sums.factor = static_cast<double>(args.max_norm) / (sqrt(all) + kNormMargin);
}

// grid one block per chunk, block kChunkThreads, one thread per vector of gradients
__global__ void scale_gradients(ClipGradientsArgs args, int num_tensors, ClipSums sums) {
  wait_for_previous();
  const auto factor = static_cast<float>(*sums.factor);
  if (factor >= 1.0F) return;  // not so a NaN
  const Chunk chunk(args.tensors.device, num_tensors);
  const GradientTensor tensor = args.tensors.device[chunk.tensor];
  for_chunk(chunk, tensor, [&]<int Width>(std::int64_t index) {
    float* at = args.gradients + tensor.weight_offset + index;
    float gradient[Width];
    load<Width>(at, gradient);
    for (int i = 0; i < Width; ++i) gradient[i] *= factor;
    store<Width>(at, gradient);
  });
}

}  // namespace

std::size_t clip_scratch_bytes(const DeviceTable<GradientTensor>& tensors, const DeviceContext& /*on*/) {
  return static_cast<std::size_t>(total_chunks(tensors.host) + 1) * sizeof(double);
}

void clip_gradients(const ClipGradientsArgs& args, const DeviceContext& on) {
  const auto chunks = static_cast<unsigned>(total_chunks(args.tensors.host));
  if (chunks == 0) return;  // a grid cannot be empty
  const auto num_tensors = static_cast<int>(args.tensors.host.size());
  const ClipSums sums = clip_sums_in(args.scratch);
  launch(add_squares, dim3(chunks), dim3(kChunkThreads), 0, on.stream, args, num_tensors, sums, on.memory);
  launch(scale_gradients, dim3(chunks), dim3(kChunkThreads), 0, on.stream, args, num_tensors, sums);
}

}  // namespace bsq::cuda
