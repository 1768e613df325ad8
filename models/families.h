// The table of network families, one line each, the first is the default; and how the network of a configuration or of
// a file is found.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/files/safetensors.h"
#include "engine/network/network_spec.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace bsq {

/// Finds the tensor of a parameter in a file, whatever the form of its weights, or null. The first axes of its shape
/// are those of the parameter in a file of float weights.
using ParameterFinder = std::function<const HostTensor*(const std::string& parameter)>;

struct NetworkFamily : ConfigChoice {
  /// Makes the network from the keys that the family has added to the section `model`; they become the spec's settings.
  NetworkSpec (*make)(const Config&, const Shape& image, int classes) = nullptr;
  /// Of files that do not say their network: old checkpoints, those of other programs. Nothing if it is none of
  /// this family; null if the tensors do not tell.
  std::optional<NetworkSpec> (*recognize)(const ParameterFinder& find, const std::string& where) = nullptr;
};

const std::vector<NetworkFamily>& network_families();

/// That of model.network, or of the family model.arch, with the roles that quant.* gives its layers (models/roles.h),
/// and with what quantizes numbers of either sign if quant.signed says so (engine/network/quantize_signed.h). Throws
/// Error(usage).
NetworkSpec configured_network(const Config& config, const Shape& image, int classes);
/// The same without these roles.
NetworkSpec bare_network(const Config& config, const Shape& image, int classes);
/// Throws Error(usage) if quant.layers does not fit the network, whatever the images.
void check_layers(const Config& config);
/// Which one that is: `resnet depth 20, width 16`.
std::string network_words(const Config& config);
/// The network of a file by its tensors. Throws Error(checkpoint), naming `where`, if no family recognizes it.
NetworkSpec recognize_network(const ParameterFinder& find, const std::string& where);

}  // namespace bsq
