#include "models/families.h"

#include "engine/network/quantize_signed.h"
#include "kernels/base/error.h"
#include "models/alexnet.h"
#include "models/densenet.h"
#include "models/mobilenet_v2.h"
#include "models/network_file.h"
#include "models/preresnet.h"
#include "models/resnet.h"
#include "models/resnext.h"
#include "models/roles.h"
#include "models/torchvision_resnet.h"
#include "models/vgg.h"
#include "models/wrn.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace bsq {
namespace {

const NetworkFamily& family_of(const Config& config) {
  const auto& table = network_families();
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const NetworkFamily& family) { return family.name == config.model.arch; });
  require(found != table.end(), "no family {}", config.model.arch);
  return *found;
}

/// The network for gray pictures if the filters of its first layer are.
NetworkSpec for_channels_of(const ParameterFinder& find, NetworkSpec spec) {
  const HostTensor* const filters = find(spec.nodes.front().name + ".weight");
  if (filters != nullptr && filters->shape.size() == 4 && filters->shape[1] == 1) spec.image[2] = 1;
  return spec;
}

/// With what quantizes numbers of either sign, if they are to be.
NetworkSpec for_signed_numbers(NetworkSpec spec, const QuantConfig& quant) {
  if (quant.quantizes_signed()) quantize_signed(spec, quant.projections);
  return spec;
}

}  // namespace

const std::vector<NetworkFamily>& network_families() {
  static const std::vector<NetworkFamily> table = {
      {{"resnet", add_resnet_keys}, configured_resnet, resnet_spec_of},
      {{"alexnet", nullptr}, configured_alexnet},
      {{"vgg", add_vgg_keys}, configured_vgg},
      {{"vgg_bn", add_vgg_bn_keys}, configured_vgg_bn},
      {{"preresnet", add_preresnet_keys}, configured_preresnet},
      {{"resnext", add_resnext_keys}, configured_resnext},
      {{"wrn", add_wrn_keys}, configured_wrn},
      {{"densenet", add_densenet_keys}, configured_densenet},
      {{"torchvision_resnet", add_torchvision_resnet_keys}, configured_torchvision_resnet},
      {{"mobilenet_v2", add_mobilenet_v2_keys}, configured_mobilenet_v2},
  };
  return table;
}

NetworkSpec configured_network(const Config& config, const Shape& image, int classes) {
  return with_roles(for_signed_numbers(bare_network(config, image, classes), config.quant), config.quant);
}

void check_layers(const Config& config) {
  if (config.quant.layers.rules.empty() && config.quant.scheme.layers.rules.empty()) return;
  const Shape image = {224, 224, config.data.channels};  // large enough for any network
  constexpr int kClasses = 10;
  const std::string& file = config.model.network;
  NetworkSpec spec = file.empty() ? family_of(config).make(config, image, kClasses) : read_network_file(file, image);
  with_roles(for_signed_numbers(std::move(spec), config.quant), config.quant);
}

NetworkSpec bare_network(const Config& config, const Shape& image, int classes) {
  if (config.model.network.empty()) return family_of(config).make(config, image, classes);
  NetworkSpec spec = read_network_file(config.model.network, image);
  if (spec.image != image)
    fail(ErrorKind::usage, "{}: image is {}x{} of {} channels, the data have {}x{} of {}; change it, or leave it out",
         config.model.network, spec.image[0], spec.image[1], spec.image[2], image[0], image[1], image[2]);
  return spec;
}

std::string network_words(const Config& config) {
  if (!config.model.network.empty()) return config.model.network;
  std::vector<std::string> words;
  const NetworkSpec spec = family_of(config).make(config, {32, 32, 3}, 10);  // for any images
  for (const auto& [key, value] : spec.settings.items())
    words.push_back(fmt::format("{} {}", key, value.is_string() ? value.get<std::string>() : value.dump()));
  return fmt::format("{} {}", config.model.arch, fmt::join(words, ", "));
}

NetworkSpec recognize_network(const ParameterFinder& find, const std::string& where) {
  std::vector<std::string> names;
  for (const NetworkFamily& family : network_families()) {
    if (family.recognize == nullptr) continue;
    if (std::optional<NetworkSpec> spec = family.recognize(find, where)) return for_channels_of(find, std::move(*spec));
    names.push_back(family.name);
  }
  fail(ErrorKind::checkpoint,
       "{}: says no network, and its tensors are those of no family that can be told by them ({})", where,
       fmt::join(names, ", "));
}

}  // namespace bsq
