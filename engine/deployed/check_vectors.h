// Vectors that travel with a deployed model, so that any program and any processor can be held against it: pictures,
// the checksum of every tensor's levels, and the logits.
#pragma once

#include "engine/deployed/deployed_network.h"
#include "engine/files/safetensors.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bsq {

struct CheckVectors {
  std::vector<std::uint8_t> pictures;    // [N, H, W, 3]
  std::vector<std::uint32_t> checksums;  // by tensor: CRC-32 (that of zlib) of its levels, picture after picture
  std::vector<float> logits;             // [N, classes]
};

CheckVectors make_check(const DeployedNetwork& network, std::span<const std::uint8_t> pictures);
/// The name of the first tensor whose levels differ, or `logits`; empty if all is the same.
std::string first_difference(const DeployedNetwork& network, const CheckVectors& vectors);

/// As tensors `check.pictures`, `check.checksums` (int64) and `check.logits` of a file.
void add_check(const DeployedNetwork& network, const CheckVectors& vectors, TensorFile& file);
/// Nothing if the file has none. Throws Error(checkpoint) if they do not fit the network.
std::optional<CheckVectors> read_check(const DeployedNetwork& network, const TensorFile& file);

}  // namespace bsq
