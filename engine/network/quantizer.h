// How the activations of a network are quantized: chosen by each stage of training, not by the network.
#pragma once

#include "kernels/ops/norm_act.h"

namespace bsq {

struct Quantizer {
  Activation activation = Activation::relu6;  // before each quantizer
  int act_bits = 0;                           // 0: not quantized
  bool static_scales = false;                 // states for calibrated scales
  bool quantizes_signed = false;  // by steps and offsets that are learned, where a network has a `quantize` for it
  bool rounds_to_ranges = false;  // what the deployed network rounds besides is rounded, to ranges that are states
};

}  // namespace bsq
