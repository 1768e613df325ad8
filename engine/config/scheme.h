// A scheme: the bits of every quantized layer of a network, as a file that people edit, or written where quant.scheme
// stands.
//
//   conv1: {weight_bits: 8, fixed: true}
//   layer1.0.conv1: {weight_bits: 3}
//   fc: {weight_bits: 2, max_bits: 4}
//
// The form is that of quant.layers, patterns included. It says widths of weights and nothing else, and those of all
// quantized layers; which these are, models/roles.h knows.
#pragma once

#include "engine/config/layer_rules.h"

#include <filesystem>
#include <string>

namespace bsq {

struct Scheme {
  LayerRules layers = {};

  bool operator==(const Scheme&) const = default;
};

/// The text of a configuration or of a scheme. Throws Error(usage) if the file is no small regular file.
std::string read_config_text(const std::filesystem::path& file);

/// Adds everything that is wrong to `problems`.
Scheme read_scheme(const YamlValue& value, const PlaceText& place, std::vector<Problem>& problems);
/// The scheme in a file. Adds everything that is wrong to `problems`, each headed by its place: `s.yaml:3:8: ...`.
/// Throws Error(usage) if the file cannot be read.
Scheme read_scheme_file(const std::filesystem::path& file, std::vector<std::string>& problems);
/// The same; throws Error(usage) with a line per problem.
Scheme read_scheme_file(const std::filesystem::path& file);

}  // namespace bsq
