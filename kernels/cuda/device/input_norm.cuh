// A norm in front of a convolution whose output nobody has written: the kernels that read it make it, in shared memory,
// of what the norm reads. Its statistics and S are known by then.
#pragma once

#include "kernels/cuda/device/norm_levels.cuh"

namespace bsq::cuda {

/// The norm, as a kernel gets it, or none.
struct InputNorm {
  bool is_wanted = false;
  NormActForwardArgs norm;

  InputNorm() = default;
  explicit InputNorm(const NormActForwardArgs* args) : is_wanted(args != nullptr) {
    if (is_wanted) norm = *args;
  }
  /// What is to be copied to shared memory.
  const void* source(const void* input) const { return is_wanted ? norm.x : input; }
};

/// Makes the output of the norm of 8 neighbouring channels, in place.
class ChunkNorm {
 public:
  __device__ ChunkNorm(const InputNorm& of, int channel) : activations_(of.norm, channel) {}
  __device__ void apply(uint4& chunk) const {
    RawPair<__nv_bfloat16, 8> pair;
    pair.x = chunk;
    float y[8];
    activations_.make(pair, y);
    chunk = make_uint4(pack_bf16(y[0], y[1]), pack_bf16(y[2], y[3]), pack_bf16(y[4], y[5]), pack_bf16(y[6], y[7]));
  }

 private:
  Activations<__nv_bfloat16, 8> activations_;
};

}  // namespace bsq::cuda
