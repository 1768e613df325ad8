// The names of tensors in files, and what a reader of them checks.
#pragma once

#include "engine/files/safetensors.h"
#include "engine/network/network.h"

#include <string>
#include <string_view>
#include <vector>

namespace bsq {

/// `fc.weight` + `p` -> `fc.pweight`: the published code's names.
std::string plane_name(const std::string& parameter, std::string_view prefix);
/// `fc.weight` -> `fc.scale`, `fc.bias` -> `fc.biasscale`.
std::string scale_name(const std::string& parameter);

/// A name without what wrappers put into it (`module.`, `_orig_mod.`, and `model.` in front), in our spelling:
/// `downsample`, not `shortcut`, `fc`, not `linear`.
std::string usual_name(const std::string& name);
/// Takes off what wrappers put before every name (`module.`, `_orig_mod.`, `model.`, in any order, and whatever else
/// all names begin with), or before those of a wrapped part; renames `shortcut` to `downsample` and `linear` to `fc`.
/// Returns the renamings as `old -> new`. Throws Error(checkpoint) where two tensors would get one name, as in a file
/// of two sets of weights.
std::vector<std::string> normalize_names(TensorFile& file);

/// Throws Error(checkpoint) unless `tensor` has the shape of `spec` in a file, plus `trailing` axes.
void check_shape(const TensorFile& file, const HostTensor& tensor, const ParameterSpec& spec,
                 const std::vector<std::int64_t>& trailing = {});
/// The float32 numbers of `name` in memory order. Throws Error(checkpoint).
std::vector<float> read_tensor(const TensorFile& file, const std::string& name, const ParameterSpec& spec);
/// The numbers of a running statistic. Throws Error(checkpoint).
std::vector<float> read_state(const TensorFile& file, const StateSpec& state);
/// Throws Error(checkpoint) for a running variance below zero.
void check_states(const TensorFile& file, const Network& network);
/// The one number that `name` of `file` holds. Throws Error(checkpoint) if it holds none or several.
float read_number(const TensorFile& file, const std::string& name);

}  // namespace bsq
