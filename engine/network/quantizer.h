// How the activations of a network are quantized: chosen by each stage of training, not by the network.
#pragma once

#include "kernels/ops/norm_act.h"

namespace bsq {

struct Quantizer {
  Activation activation = Activation::relu6;  // before each quantizer
  int act_bits = 0;                           // 0: not quantized
  bool static_scales = false;                 // states for calibrated scales
};

}  // namespace bsq
