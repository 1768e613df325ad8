#include "kernels/cuda/vendor/plan_trial.h"

#include "kernels/bf16.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/device_memory.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

namespace bsq::cuda {
namespace {

/// Random numbers in [-1, 1), the same everywhere. An operand is filled with copies of this block.
std::vector<std::byte> random_block(DType dtype) {
  constexpr std::size_t count = 65537;  // no multiple of any tensor's sizes
  std::minstd_rand random(1);
  std::vector<std::byte> block(count * size_of(dtype));
  for (std::size_t i = 0; i < count; ++i) {
    const float value = 2.0F * static_cast<float>(random()) / static_cast<float>(std::minstd_rand::max()) - 1.0F;
    const bfloat16 rounded = to_bfloat16(value);
    if (dtype == DType::bf16)
      std::memcpy(&block[i * sizeof(rounded)], &rounded, sizeof(rounded));
    else
      std::memcpy(&block[i * sizeof(value)], &value, sizeof(value));
  }
  return block;
}

class Tensor {
 public:
  Tensor(const Shape& shape, DType dtype, cudaStream_t stream)
      : size_bytes_(static_cast<std::size_t>(shape.numel()) * size_of(dtype)), memory_(size_bytes_), stream_(stream) {}

  void* data() const { return memory_.data(); }

  void fill(const std::vector<std::byte>& block) {
    for (std::size_t at = 0; at < size_bytes_; at += block.size())
      BSQ_CUDA_CHECK(cudaMemcpyAsync(static_cast<std::byte*>(data()) + at, block.data(),
                                     std::min(block.size(), size_bytes_ - at), cudaMemcpyHostToDevice, stream_));
  }

  void overwrite(int byte) { BSQ_CUDA_CHECK(cudaMemsetAsync(data(), byte, size_bytes_, stream_)); }

  std::vector<std::byte> contents() const {
    std::vector<std::byte> bytes(size_bytes_);
    BSQ_CUDA_CHECK(cudaMemcpyAsync(bytes.data(), data(), size_bytes_, cudaMemcpyDeviceToHost, stream_));
    BSQ_CUDA_CHECK(cudaStreamSynchronize(stream_));
    return bytes;
  }

 private:
  std::size_t size_bytes_;
  DeviceMemory memory_;
  cudaStream_t stream_;
};

}  // namespace

bool runs_twice_alike(const ConvGeometry& geometry, ConvPass pass, std::size_t workspace_bytes, cudaStream_t stream,
                      const std::function<bool(const TrialOperands&)>& run) {
  Tensor input(geometry.input_shape(), geometry.dtype, stream);
  Tensor weight(geometry.weight_shape(), pass == ConvPass::backward_weight ? DType::f32 : geometry.dtype, stream);
  Tensor output(geometry.output_shape(), geometry.dtype, stream);
  const DeviceMemory workspace(workspace_bytes);
  const std::vector<std::byte> block = random_block(geometry.dtype);
  Tensor& result = pass == ConvPass::forward ? output : pass == ConvPass::backward_data ? input : weight;
  for (Tensor* operand : {&input, &weight, &output})
    if (operand != &result) operand->fill(block);
  std::vector<std::byte> first;
  for (int time = 0; time < 2; ++time) {
    result.overwrite(time == 0 ? 0xFF : 0x00);  // so that what the engine does not write, or adds to, differs
    if (!run({input.data(), weight.data(), output.data(), workspace.data()})) {
      BSQ_CUDA_CHECK(cudaStreamSynchronize(stream));  // a device that has failed is no reason to try another engine
      static_cast<void>(cudaGetLastError());
      return false;
    }
    std::vector<std::byte> again = result.contents();
    if (time == 0)
      first = std::move(again);
    else if (again != first)
      return false;
  }
  return true;
}

}  // namespace bsq::cuda
