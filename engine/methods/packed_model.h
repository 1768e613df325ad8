// A quantized model at its real size: a safetensors file of signs and bit planes, packed into bits.
//
// Tensors:
//   <parameter>, such as `conv1.weight`: U8 [1 + bits, ceil(numel / 8)]. Row 0 holds the signs (1: negative), row 1 the
//       most significant bit of every magnitude |k|, the last row the least significant one. Element i, in PyTorch's
//       order, is bit i % 8 (counted from the least significant) of byte i / 8 of a row. The weight is
//       scale k / (2^bits - 1). A tensor of zeros is not in the file. One of odd levels alone has no row of signs: its
//       U8 [bits, ceil(numel / 8)] hold j, from the most significant bit, with k = 2 j - (2^bits - 1). One of a
//       lopsided grid (LSQ's with a level more below) has none either: its U8 [bits + 1, ceil(numel / 8)] hold k +
//       2^bits, from the most significant bit, and the weight is scale k / 2^bits.
//   `scales`: F32, one per quantized parameter.
//   `float`: F32, all other numbers of the model.
// Metadata:
//   `form`: packed.
//   `quantized`: `<parameter> <shape> <bits>` per parameter, separated by commas, in the order of `scales`; one that is
//       not in the file has ` zero` behind it, one of odd levels ` odd`, one of a lopsided grid ` low`: `conv1.weight
//       16x3x3x3 3,fc.bias 10 1 zero`.
//   `float`: `<name> <shape>` in the order of the numbers.
//   All else is as in the model (activation, act_bits, mean, ...).
#pragma once

#include "engine/files/safetensors.h"
#include "engine/model/integer_tensors.h"
#include "engine/model/model_card.h"
#include "engine/network/network.h"

namespace bsq {

bool is_packed(const TensorFile& file);

/// `model`: the file that the weights are from. Its metadata and all that is not quantized are packed too, except the
/// counters of batches.
TensorFile pack(const TensorFile& model, const std::vector<IntegerTensor>& weights);

/// What a packed file of this network and card has beside bits and signs: header, scales and all numbers that stay
/// float. Widths decide how many digits and words the header has, so that these are the most: up to 16 bytes per
/// quantized tensor more than a file needs, and up to 8 for its alignment.
std::int64_t packed_rest_bytes(const Network& network, const ModelCard& card);

/// The same model as bit planes (`conv1.pweight`, ...), every weight bit for bit. What has 0 bits gets an empty plane.
/// With lopsided grids it is one of LSQ (`conv1.lsq_weight`, ...). Throws Error(checkpoint) for a damaged file.
TensorFile unpack(const TensorFile& packed);

}  // namespace bsq
