// A network in a file of its own, which model.network names: YAML of the shape of a NetworkSpec.
//
//   image: [32, 32, 3]   # optional: that of the data
//   nodes:
//     - {name: conv1, layer: conv2d, inputs: [image], out: 16, quantized: true}
//     - {name: bn1, layer: norm_act}   # reads the node before it
//
// tools/GUIDE.md describes it, configs/networks/ has an example.
#pragma once

#include "engine/network/network_spec.h"

#include <filesystem>
#include <string>

namespace bsq {

/// `image`: the size for a file that says none. Throws one Error(usage) that names file, line, node and key, also if
/// the network cannot be run.
NetworkSpec read_network_file(const std::filesystem::path& file, const Shape& image);

/// The text of such a file.
std::string network_text(const NetworkSpec& spec);

}  // namespace bsq
