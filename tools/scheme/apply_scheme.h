// A model under the widths of a scheme.
#pragma once

#include "engine/config/scheme.h"
#include "tools/session/open_model.h"

#include <vector>

namespace bsq {

/// Whether a person who says where widths come from means a scheme file, and no checkpoint: `*.yaml`, `*.yml`.
bool is_scheme_file(const std::filesystem::path& path);

/// Weights as bit planes of these widths, one per slot. What has its width already stays as it is, level for level;
/// all else is rounded anew from its values, as float weights are (METHOD 1).
Weights with_widths(const Weights& from, const ArenaLayout& layout, const std::vector<int>& bits);
/// Effective weights of one slot under this width, as with_widths() gives them; those of no wider ones as they are.
std::vector<float> values_under(const StoredWeights& from, std::size_t slot, int bits);

/// The model with the scheme's widths in its network and its weights. Throws Error(usage) with a line per problem,
/// each with its place in the scheme.
OpenModel with_scheme(OpenModel model, const Scheme& scheme);

}  // namespace bsq
