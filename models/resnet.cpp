// The nodes of a CIFAR ResNet, and how one is recognized.
#include "models/resnet.h"

#include "kernels/base/error.h"
#include "models/residual_blocks.h"

#include <array>

namespace bsq {
namespace {

ResidualSettings settings_of(const ResNetOptions& options) {
  return {.depth = options.depth, .width = options.width, .is_bottleneck = options.is_bottleneck};
}

}  // namespace

NetworkSpec resnet_spec(const ResNetOptions& options) {
  const ResidualSettings settings = settings_of(options);
  if (!settings.rule().allows(options.depth))
    fail(ErrorKind::usage, "model.depth = {}: such a CIFAR ResNet has {} layers; try 8, 14, 20, 32, 44, 56",
         options.depth, settings.rule().words(options.depth));
  // Projections start as the published BSQ code has them.
  ResidualBuilder builder(settings.name("resnet"), settings.json(/*shows_basic=*/false), settings,
                          {options.image_height, options.image_width, options.image_channels},
                          /*torch_projections=*/true);
  std::string x = builder.conv("conv1", kImage, {.out = options.width});
  x = builder.norm("bn1", {x}, NodeActivation::float_relu, "relu");
  const int blocks = settings.blocks();
  x = builder.stages(x, options.width, std::array{blocks, blocks, blocks});
  x = builder.add("avgpool", "average_pool", {x});
  builder.classifier("fc", x, options.num_classes);
  return builder.take();
}

Network make_resnet(const ResNetOptions& options) {
  return build_network(
      resnet_spec(options),
      {.activation = options.activation, .act_bits = options.act_bits, .static_scales = options.static_act_scales});
}

std::optional<ResNetOptions> recognize_resnet(const ParameterFinder& find, const std::string& where) {
  const HostTensor* stem = find("conv1.weight");
  const HostTensor* classifier = find("fc.weight");
  if (stem == nullptr || classifier == nullptr || stem->shape.size() < 4 || classifier->shape.size() < 2)
    return std::nullopt;
  const bool is_torchvision = stem->shape[2] != 3 || find("layer4.0.conv1.weight") != nullptr;
  if (is_torchvision) return std::nullopt;
  int blocks = 0;
  while (find(fmt::format("layer1.{}.conv1.weight", blocks)) != nullptr) ++blocks;
  if (blocks == 0) return std::nullopt;
  constexpr std::int64_t kMostChannels = 1 << 14;  // a hostile file may claim any shape that holds nothing
  if (stem->shape[0] < 1 || stem->shape[0] > kMostChannels || classifier->shape[0] < 1 ||
      classifier->shape[0] > kMostChannels)
    fail(ErrorKind::checkpoint, "{}: {} channels and {} classes; not a checkpoint of a CIFAR ResNet", where,
         stem->shape[0], classifier->shape[0]);
  const bool is_bottleneck = find("layer1.0.conv3.weight") != nullptr;
  return ResNetOptions{.depth = (is_bottleneck ? 9 : 6) * blocks + 2,
                       .width = static_cast<int>(stem->shape[0]),
                       .is_bottleneck = is_bottleneck,
                       .num_classes = static_cast<int>(classifier->shape[0])};
}

void add_resnet_keys(ConfigSchema& schema) {
  add_residual_keys(schema, "resnet");
}

NetworkSpec configured_resnet(const Config& config, const Shape& image, int classes) {
  const auto& [depth, width, is_bottleneck] = residual_settings(config);
  return resnet_spec({.depth = depth,
                      .width = width,
                      .is_bottleneck = is_bottleneck,
                      .num_classes = classes,
                      .image_height = static_cast<int>(image[0]),
                      .image_width = static_cast<int>(image[1]),
                      .image_channels = static_cast<int>(image[2])});
}

std::optional<NetworkSpec> resnet_spec_of(const ParameterFinder& find, const std::string& where) {
  const std::optional<ResNetOptions> options = recognize_resnet(find, where);
  if (!options) return std::nullopt;
  return resnet_spec(*options);
}

}  // namespace bsq
