// Moving averages of all tensors in one launch. Moves 12 bytes per number: it reads it and its average, and writes
// that.
#include "kernels/cuda/device/weight_chunks.cuh"

namespace bsq::cuda {
namespace {

// grid one block per chunk, block kChunkThreads, one thread per vector of numbers
__global__ void move_averages(UpdateAverageArgs args, int num_tensors) {
  wait_for_previous();
  const Chunk chunk(args.tensors.device, num_tensors);
  const AveragedTensor tensor = args.tensors.device[chunk.tensor];
  for_chunk(chunk, tensor, [&]<int Width>(std::int64_t index) {
    float* at = args.averages + tensor.weight_offset + index;
    float average[Width];
    float value[Width];
    load<Width>(at, average);
    load<Width>(tensor.values + index, value);
    for (int i = 0; i < Width; ++i) average[i] = fmaf(args.weight, value[i] - average[i], average[i]);
    store<Width>(at, average);
  });
}

}  // namespace

void update_average(const UpdateAverageArgs& args, const DeviceContext& on) {
  const auto chunks = static_cast<unsigned>(total_chunks(args.tensors.host));
  if (chunks == 0) return;  // a grid cannot be empty
  launch(move_averages, dim3(chunks), dim3(kChunkThreads), 0, on.stream, args,
         static_cast<int>(args.tensors.host.size()));
}

}  // namespace bsq::cuda
