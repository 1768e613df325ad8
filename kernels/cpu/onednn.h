// Everything this project asks of oneDNN: convolutions in NHWC and GEMM. The only header that names its types.
//
// Weights are OHWI outside. Inside, each primitive takes the layout and type that it likes best, and a reorder (of 36 K
// weights at most in a ResNet-20) brings them there. All temporary memory is the caller's scratch: reordered weights |
// accumulation buffer | scratchpad.
#pragma once

#include "kernels/engine_note.h"

#include <oneapi/dnnl/dnnl.hpp>

#include <array>
#include <map>
#include <string>
#include <vector>

namespace bsq {

class ConvolutionCache {
 public:
  ConvolutionCache() : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {}

  /// Plans those of `passes` that have not been planned. A pass must be planned before it is run.
  std::size_t scratch_bytes(const ConvGeometry& geometry, const ConvPasses& passes);
  /// How the planned passes are run, in the order of planning.
  const std::vector<EngineNote>& engines() const { return engines_; }
  void forward(const ConvGeometry& geometry, const void* input, const void* weight, void* output, void* scratch);
  /// Overwrites d_input.
  void backward_data(const ConvGeometry& geometry, const void* d_output, const void* weight, void* d_input,
                     void* scratch);
  void backward_weight(const ConvGeometry& geometry, const void* input, const void* d_output, float* d_weight,
                       void* scratch);
  /// The offset in the scratch of backward_data of room for one more input tensor, which no pass touches.
  std::size_t room_offset(const ConvGeometry& geometry);

 private:
  struct Direction {
    bool is_planned = false;
    std::string implementation;
    dnnl::primitive primitive;
    dnnl::reorder reorder;  // of the weights (into the primitive) or of their gradient (out of it)
    bool reorders = false;
    dnnl::memory::desc weight_desc;
    dnnl::memory::desc scratchpad_desc;

    std::size_t size_bytes() const;  // of the scratch memory: reordered weights and scratchpad
  };
  struct Convolution {
    dnnl::memory::desc input_desc;
    dnnl::memory::desc output_desc;
    dnnl::memory::desc weight_desc;    // OHWI, of the geometry's type
    dnnl::memory::desc d_weight_desc;  // OHWI, float32
    std::array<Direction, 3> passes;   // by ConvPass

    Direction& of(ConvPass pass) { return passes[static_cast<std::size_t>(pass)]; }
  };
  struct Scratch {
    dnnl::memory weight;
    dnnl::memory scratchpad;
  };

  /// The convolution with `passes` planned, besides those that were planned before.
  Convolution& plan(const ConvGeometry& geometry, const ConvPasses& passes);
  void build(Convolution& convolution, const ConvGeometry& geometry, const ConvPasses& passes);
  Convolution& find(const ConvGeometry& geometry, ConvPass pass);
  Scratch carve(const Direction& direction, void* scratch) const;

  dnnl::engine engine_;
  dnnl::stream stream_;
  std::map<ConvGeometry, Convolution> convolutions_;
  std::vector<EngineNote> engines_;
};

/// C[m, n] = factor op(A) op(B), row major, float32; op transposes where asked. `mode`: C is overwritten, or added to.
void gemm(bool transpose_a, bool transpose_b, int m, int n, int k, float factor, const float* a, const float* b,
          GradMode mode, float* c);

/// "oneDNN 2.6.3, avx512_core_bf16".
std::string describe_onednn();
/// Whether this CPU has instructions for bf16 convolutions.
bool onednn_has_bf16();

}  // namespace bsq
