// Bit planes of one parameter in files: [O, I, K, K, bits], where memory has [bits][numel] in OHWI order. Plane 0 is
// the most significant.
#pragma once

#include "engine/files/safetensors.h"
#include "engine/network/parameters.h"

#include <string>
#include <vector>

namespace bsq {

HostTensor planes_to_file(const std::vector<float>& planes, const ParameterSpec& spec, int bits,
                          const std::string& name);
/// Planes [bits][numel] in memory order from the tensor `name`. Throws Error(checkpoint).
std::vector<float> read_planes(const TensorFile& file, const std::string& name, const ParameterSpec& spec, int bits);
/// How many planes the tensor `name` has. Throws Error(checkpoint) if that is not in 1..most.
int count_planes(const TensorFile& file, const std::string& name, int most);

}  // namespace bsq
