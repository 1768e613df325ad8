// Everything this project asks of oneDNN: convolutions in NHWC and GEMM. The only header that names its types.
//
// Weights are OHWI outside; inside each primitive takes the layout and type it likes best and a reorder (36 K
// weights at most in a ResNet-20) brings them there. All temporary memory is the caller's scratch: reordered weights |
// accumulation buffer | scratchpad.
#pragma once

#include "kernels/types.h"

#include <oneapi/dnnl/dnnl.hpp>

#include <map>
#include <string>

namespace bsq {

class ConvolutionCache {
 public:
  ConvolutionCache() : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {}

  std::size_t scratch_bytes(const ConvGeometry& geometry);
  void forward(const ConvGeometry& geometry, const void* input, const void* weight, void* output, void* scratch);
  /// d_input overwritten.
  void backward_data(const ConvGeometry& geometry, const void* d_output, const void* weight, void* d_input,
                     void* scratch);
  void backward_weight(const ConvGeometry& geometry, const void* input, const void* d_output, float* d_weight,
                       void* scratch);
  /// scratch_bytes counts room for one more input tensor at the end, which none of the three directions touches.
  static std::size_t input_bytes(const ConvGeometry& geometry);

 private:
  struct Direction {
    dnnl::primitive primitive;
    dnnl::reorder reorder;  // of the weights (into the primitive) or of their gradient (out of it)
    bool reorders = false;
    dnnl::memory::desc weight_desc;
    dnnl::memory::desc scratchpad_desc;
  };
  struct Convolution {
    dnnl::memory::desc input_desc;
    dnnl::memory::desc output_desc;
    dnnl::memory::desc weight_desc;    // OHWI, of the geometry's type
    dnnl::memory::desc d_weight_desc;  // OHWI, float32
    Direction forward;
    Direction backward_data;
    Direction backward_weight;
    std::size_t scratch_bytes = 0;
  };
  struct Scratch {
    dnnl::memory weight;
    dnnl::memory scratchpad;
  };

  const Convolution& find(const ConvGeometry& geometry);
  Convolution build(const ConvGeometry& geometry);
  Scratch carve(const Direction& direction, void* scratch) const;

  dnnl::engine engine_;
  dnnl::stream stream_;
  std::map<ConvGeometry, Convolution> convolutions_;
};

/// C[m, n] = op(A) op(B), row major, float32; op transposes where asked.
void gemm(bool transpose_a, bool transpose_b, int m, int n, int k, const float* a, const float* b, float* c);

/// "oneDNN 2.6.3, avx512_core_bf16".
std::string describe_onednn();
/// Whether this CPU has instructions for bf16 convolutions.
bool onednn_has_bf16();

}  // namespace bsq
