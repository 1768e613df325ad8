// A network in a file of its own, which model.network names: YAML of the shape of a NetworkSpec.
//
//   image: [32, 32, 3]   # optional: that of the data
//   quantize: all        # optional: layers that do not say their role are quantized (engine/network/quantize_all.h)
//   nodes:
//     - {name: conv1, layer: conv2d, inputs: [image], out: 16, quantized: true}
//     - {name: bn1, layer: batch_norm}   # reads the node before it
//     - {name: relu1, layer: activation}
//
// Layers may be those of PyTorch, which are put together (engine/network/layer_fusion.h). tools/GUIDE.md describes it,
// configs/networks/ has an example.
#pragma once

#include "engine/network/network_spec.h"

#include <filesystem>
#include <string>

namespace bsq {

/// The network as it is run. `image`: that of a file that says none. Throws one Error(usage) that names file, line,
/// node and key, also if the network cannot be run.
NetworkSpec read_network_file(const std::filesystem::path& file, const Shape& image);

/// Whether it is one, and no configuration: it has nodes.
bool is_network_file(const std::filesystem::path& file);

/// The text of such a file.
std::string network_text(const NetworkSpec& spec);

}  // namespace bsq
