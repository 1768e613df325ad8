// The table of layers that a network can be made of: one line per kind. Each kind declares its options, and its
// parameters and states with their roles, in network/layers/.
//
//   conv2d        reads an image; out, kernel (3), stride (1), padding (kernel / 2), groups (1; divides the channels of
//                 input and output), quantized (false), projection (false: whether it is that of a shortcut, which
//                 quant.projections decides about), bias (false), bias_quantized (as quantized), initializer
//                 (he_fan_out | torch_default), bias_initializer (zero | torch_default, as the initializer). It does
//                 not add its bias: a norm_act or a bias_act must read the output, and nothing else
//   norm_act      reads an image and perhaps a second one of the same shape, which is added before the activation;
//                 quantized (false: the activations), activation (relu | relu6 | pact | lsq | none | configured, which
//                 is that of the stage | configured_relu6, likewise but relu6 for relu; relu, or configured if
//                 quantized), activation_name (<node>.act: parameters and states of the activation are called by it),
//                 epsilon (1e-5), momentum (0.1). A bias of the conv2d that it reads moves the running mean alone, and
//                 must not be quantized
//   bias_act      the same without a norm: adds the bias of the conv2d that it reads, if that has one; quantized,
//                 activation and activation_name as above. Reads vectors as well, and one or two of either
//   add           a bias_act of two inputs, without an activation (none) if nothing else is said
//   concat        reads two or more images of one size, and puts their channels side by side
//   dropout       reads an image or a vector; rate, 0 to 1: how likely it is that a number of it is 0 in training
//   quantize      reads an image or a vector of numbers of either sign, quantizes them by LSQ+ in stages that do so
//                 (Quantizer::quantizes_signed), and is not there in others: who reads it reads its input
//   max_pool      reads an image; kernel, stride (kernel), padding (0; kernel / 2 at most), ceil (false: as in PyTorch
//                 ceil_mode, windows may reach beyond the image)
//   average_pool  reads an image, and gives a vector: a number per channel; with kernel (windows of this size side by
//                 side) or out (as many windows on each axis, over all of the image) it gives an image
//   flatten       reads an image, and gives a vector: channel by channel
//   linear        reads a vector; out, quantized (false: weight and bias), initializer (torch_default | normal, with
//                 its deviation), bias_initializer (torch_default | zero)
//
// Network files may have the layers of PyTorch in place of norm_act: layer_fusion.h.
//
// A quantized layer gives weights bit widths; a quantized norm_act or bias_act, and a quantize, has activations of the
// stage's width.
// What else a node says of widths is read for all kinds alike: weight_bits, max_bits and fixed (false) of its quantized
// weights (WidthRule), act_bits (0: not quantized) of its quantized activations, in the stages that quantize any.
#pragma once

#include "engine/network/network.h"
#include "engine/network/network_spec.h"
#include "engine/network/quantizer.h"

#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace bsq {

/// A request for the layer of one node.
struct LayerRequest {
  Network& network;  // the network so far; gets the parameters and states of the layer
  const NodeSpec& node;
  int number = 0;  // of the node
  std::span<const TensorId> ids;
  std::span<const TensorSpec> inputs;  // for a batch of one, in float32
  const Quantizer& quantizer;

  NodeOptions options() const { return {number, node}; }
  /// Throws a SpecError about this node, as all members do.
  [[noreturn]] void refuse(const std::string& what) const;
  void want_inputs(std::size_t least, std::size_t most) const;
  static constexpr std::size_t kAnyNumber = 1 << 16;  // as the most of them
  /// The shape [1, H, W, C] of an input, which must be an image.
  const Shape& image(std::size_t input) const;
  /// The bias that the node which writes an input has left to its reader.
  std::optional<ParameterId> output_bias(std::size_t input) const;
};

struct LayerKind {
  const char* name;
  std::unique_ptr<Layer> (*make)(const LayerRequest&);  // null: the node hands its only input on, and is not there
};

std::span<const LayerKind> layer_kinds();

/// Makes the network of a spec. Throws SpecError if it cannot be run.
Network build_network(const NetworkSpec& spec, const Quantizer& quantizer = {});

}  // namespace bsq
