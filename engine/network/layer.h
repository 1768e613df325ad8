// What a layer is: shapes, memory, an explicit forward and an explicit backward. It holds no tensors and no per-batch
// state.
//
// A layer never knows how its weights are stored: it reads effective weights and writes their dense gradient. If
// integers stand for numbers (TensorUnit), every gradient is that of the integers: METHOD 9.
#pragma once

#include "engine/network/parameters.h"
#include "kernels/backend.h"
#include "kernels/batch_slice.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bsq {

struct TensorSpec {
  Shape shape;  // outermost axis = batch
  DType dtype = DType::f32;
};

/// Where the parameters and running statistics of a network lie, by id.
struct ParameterMemory {
  std::vector<TensorView> values;  // effective: convolution filters of the network's type, everything else float32
  std::vector<float*> gradients;
  std::vector<float*> states;
};

struct LayerMemory {
  std::size_t saved_bytes = 0;    // forward leaves it for backward
  std::size_t scratch_bytes = 0;  // holds nothing between calls
};

/// How a layer will be run.
struct LayerUse {
  bool backward = true;
  bool input_gradients = true;  // backward writes the gradients of its inputs
};

/// S of quantized activations in inference (METHOD 6 and 11).
enum class ActScale : std::uint8_t { batch_max, calibrated };

struct ForwardPass {
  Backend& backend;
  const ParameterMemory& parameters;
  std::span<const TensorView> inputs;
  TensorView output;
  void* saved = nullptr;
  void* scratch = nullptr;
  bool training = true;
  BatchSlice* slice = nullptr;  // statistics are those of its whole batch; null: those of the inputs
  ActScale act_scale = ActScale::batch_max;
  bool rounds_to_ranges = true;  // where the layer has ranges
  SampleKeys keys = {};          // training: what random numbers are drawn by
  // Of a convolution: those of the norm that reads the output, and of the one that wrote the input for it alone.
  const NormActForwardArgs* norm = nullptr;
  const NormActForwardArgs* input_norm = nullptr;
  // Of a norm: the convolutions that got them.
  const ConvGeometry* x_from = nullptr;
  const ConvGeometry* read_by = nullptr;
};

struct BackwardPass {
  Backend& backend;
  const ParameterMemory& parameters;
  std::span<const TensorView> inputs;
  TensorView d_output;                   // its unit is that of the output
  std::span<const TensorView> d_inputs;  // data is null if nobody needs the gradient
  std::span<const GradMode> modes;       // one per entry of d_inputs
  void* saved = nullptr;
  void* scratch = nullptr;
  BatchSlice* slice = nullptr;                     // as in forward
  SampleKeys keys = {};                            // likewise
  const NormActBackwardArgs* norm = nullptr;       // of a convolution: those of the norm that wrote the input
  const NormActForwardArgs* input_norm = nullptr;  // as in forward
  const ConvGeometry* d_y_from = nullptr;          // of a norm: the convolution that got them
  float* gradient_parts = nullptr;  // of a convolution: where the filter gradient is left (ConvBackwardWeightArgs)
};

/// The quantizer of a layer's output.
struct OutputQuantizer {
  std::string name;         // PyTorch's module: layer1.0.relu1
  int bits = 0;             // at least 1
  StateId act_scale = -1;   // the state that holds its static scale, or -1
  ParameterId clip = -1;    // the parameter that is its scale, or -1: the maximum of the batch is
  ParameterId offset = -1;  // the parameter that its levels begin at, `clip` is then their step; -1: they begin at 0
};

/// Numbers that a layer rounds to a range (METHOD 16).
struct RoundedNumbers {
  StateId range = -1;             // [2], the least and the largest; the largest below 0: not known yet
  int input = -1;                 // the input that they are of, or are made of; -1: the output
  bool is_before_affine = false;  // of that input, after the layer's norm or bias
};

class Layer {
 public:
  virtual ~Layer() = default;
  virtual std::string_view kind() const = 0;
  /// Shape and type of the output; throws Error(internal) if the inputs do not fit.
  virtual TensorSpec output(std::span<const TensorSpec> inputs) const = 0;
  /// How much memory the layer needs. Lets the backend prepare what the layer will run.
  virtual LayerMemory plan(Backend& backend, std::span<const TensorSpec> inputs, const LayerUse& use) const = 0;
  /// The convolution it runs, if it runs one: backends plan those of a network together, before plan().
  virtual std::optional<ConvRequest> convolution(std::span<const TensorSpec>, const LayerUse&) const { return {}; }
  virtual bool runs_convolution() const { return false; }
  /// Whether it runs a norm_act that normalizes; what forward and backward call it with.
  virtual bool runs_norm() const { return false; }
  virtual NormActForwardArgs norm(const ForwardPass&) const { return {}; }
  virtual NormActBackwardArgs norm(const BackwardPass&) const { return {}; }
  /// The parameters whose gradients backward writes.
  virtual std::vector<ParameterId> parameters() const { return {}; }
  /// The unit of the output. `own` is a number in device memory that forward may write as a part of it.
  virtual TensorUnit output_unit(std::span<const TensorView>, const ParameterMemory&, float* /*own*/) const {
    return {};
  }
  /// The bias that is a part of its output and that it has not added: whoever reads the output does, or takes it off.
  virtual std::optional<ParameterId> output_bias() const { return std::nullopt; }
  /// Whether it does so for this one of its inputs, and writes the gradient of the bias.
  virtual bool takes_output_bias(std::size_t /*input*/) const { return false; }
  virtual std::optional<OutputQuantizer> quantizer() const { return std::nullopt; }
  virtual std::vector<RoundedNumbers> rounded() const { return {}; }
  /// How many numbers ranks exchange in a step whose statistics are those of the whole batch.
  virtual std::int64_t exchanged_statistics() const { return 0; }
  /// Whether it may read the images, which need no gradient.
  virtual bool reads_images() const { return false; }
  /// Whether this input, and its gradient, may be a part of wider pixels (TensorView::pitch).
  virtual bool takes_pitch(std::size_t /*input*/) const { return false; }
  /// Whether the output, and its gradient, may be; such a layer's first input, too, may lie where the output begins.
  virtual bool extends_first_input() const { return false; }
  /// Whether inference leaves it out: its output is its input then.
  virtual bool is_left_out_in_inference() const { return false; }
  /// Whether backward reads the inputs of forward, so that they must live until then.
  virtual bool backward_reads_inputs() const { return true; }
  /// Operations of one forward pass: a multiply-add is two; elementwise work is not counted.
  virtual double flops(std::span<const TensorSpec>) const { return 0; }
  virtual void forward(const ForwardPass& pass) const = 0;
  virtual void backward(const BackwardPass& pass) const = 0;
};

}  // namespace bsq
