// A deployed network as a safetensors file: all that METHOD 16 needs, and nothing else.
//
// Metadata: `form`: deployed; `deployed`: JSON {version, tensors: [{name, shape [H, W, C], zero, top}], nodes:
// [{operation, inputs, ...}], head: {input}}; node i writes tensor i + 1. Tensors: `units` [tensors], `pixels` [3,
// 256]; of each convolution, by the name of its tensor, `.k` [O, K, K, I / groups] (k + 128), `.scale`, `.offset`,
// `.bias` [O]; `head.k` [classes, C], `head.scale`, `head.offset` [classes]. A file is hostile input: whatever it says
// is checked.
#pragma once

#include "engine/deployed/deployed_network.h"
#include "engine/files/safetensors.h"

#include <string_view>

namespace bsq {

inline constexpr std::string_view kDeployedForm = "deployed";

bool is_deployed(const TensorFile& file);
/// Metadata of others may be added to the file.
TensorFile deployed_file(const DeployedNetwork& network);
/// Throws Error(checkpoint) naming the file, and what is wrong with it.
DeployedNetwork read_deployed(const TensorFile& file);

}  // namespace bsq
