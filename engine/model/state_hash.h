// 64 bits that tell the state of a model from another one: what a run notes of every epoch, so that whoever repeats the
// epoch can say whether it has the same bits.
#pragma once

#include "engine/files/safetensors.h"
#include "engine/model/model.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace bsq {

/// Of all numbers of a state bit by bit, of the widths of its weights, and of `more`: what decides the steps to come
/// beside them. The same for a model that has been trained and one that was read from the checkpoint of that.
std::uint64_t hash_of(const ModelState& state, std::string_view more = {});

/// Of all tensors, in whatever order they lie in the file; not of the metadata, which name the version of bsq.
std::uint64_t hash_of_tensors(const TensorFile& file);

/// 16 hexadecimal digits: a number of JSON need not have 64 bits.
std::string hash_text(std::uint64_t hash);

}  // namespace bsq
