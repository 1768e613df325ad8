// The nodes of a CIFAR ResNet, and how one is recognized.
#include "models/resnet.h"

#include "kernels/base/error.h"

namespace bsq {
namespace {

using nlohmann::ordered_json;

class SpecBuilder {
 public:
  explicit SpecBuilder(const ResNetOptions& options) : options_(options) {
    spec_.name = fmt::format("resnet{}", options.depth);
    spec_.settings = {{"depth", options.depth}, {"width", options.width}};
    spec_.image = {options.image_height, options.image_width, 3};
  }

  NetworkSpec build() {
    std::string x = add("conv1", "conv2d", {kImage}, {{"out", options_.width}, {"quantized", true}});
    x = add("bn1", "norm_act", {x}, {{"activation", "relu"}, {"activation_name", "relu"}});
    int channels = options_.width;
    for (int stage = 1; stage <= 3; ++stage) {
      const int out_channels = options_.width << (stage - 1);
      for (int block = 0; block < (options_.depth - 2) / 6; ++block) {
        const int stride = stage > 1 && block == 0 ? 2 : 1;
        x = basic_block(fmt::format("layer{}.{}", stage, block), x, channels, out_channels, stride);
        channels = out_channels;
      }
    }
    x = add("avgpool", "average_pool", {x}, ordered_json::object());
    add("fc", "linear", {x}, {{"out", options_.num_classes}, {"quantized", true}});
    return std::move(spec_);
  }

 private:
  std::string basic_block(const std::string& name, const std::string& input, int in_channels, int out_channels,
                          int stride) {
    const auto quantizer = [&](const char* activation) {
      return ordered_json{{"quantized", true}, {"activation_name", name + "." + activation}};
    };
    std::string x = add(name + ".conv1", "conv2d", {input}, convolution(out_channels, stride));
    x = add(name + ".bn1", "norm_act", {x}, quantizer("relu1"));
    x = add(name + ".conv2", "conv2d", {x}, convolution(out_channels, 1));
    std::string shortcut = input;
    if (stride != 1 || in_channels != out_channels) {
      ordered_json options = {{"out", out_channels}, {"kernel", 1}, {"initializer", "torch_default"}};
      if (stride != 1) options["stride"] = stride;
      shortcut = add(name + ".downsample.0", "conv2d", {input}, options);
      shortcut = add(name + ".downsample.1", "norm_act", {shortcut}, {{"activation", "none"}});
    }
    return add(name + ".bn2", "norm_act", {x, shortcut}, quantizer("relu2"));
  }

  static ordered_json convolution(int out, int stride) {
    ordered_json options = {{"out", out}, {"quantized", true}};
    if (stride != 1) options["stride"] = stride;
    return options;
  }

  /// Adds a node; returns its name.
  std::string add(const std::string& name, const char* layer, const std::vector<std::string>& inputs,
                  const ordered_json& options) {
    spec_.nodes.push_back({name, layer, inputs, options});
    return name;
  }

  ResNetOptions options_;
  NetworkSpec spec_;
};

void check_depth(const Config& config, std::vector<Conflict>& conflicts) {
  const int depth = config.part<ResNetConfig>().depth;
  if (config.model.arch != "resnet" || depth % 6 == 2) return;
  const int below = depth - (depth + 4) % 6;
  conflicts.push_back(
      {{"model.depth"}, fmt::format("model.depth = {}; must be 6n+2, such as {} or {}", depth, below, below + 6)});
}

}  // namespace

NetworkSpec resnet_spec(const ResNetOptions& options) {
  if (options.depth < 8 || (options.depth - 2) % 6 != 0)
    fail(ErrorKind::usage, "model.depth = {}: a CIFAR ResNet has 6n + 2 layers; try 8, 14, 20, 32, 44, 56",
         options.depth);
  return SpecBuilder(options).build();
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
  int blocks = 0;
  while (find(fmt::format("layer1.{}.conv1.weight", blocks)) != nullptr) ++blocks;
  if (blocks == 0) return std::nullopt;
  constexpr std::int64_t kMostChannels = 1 << 14;  // a hostile file may claim any shape that holds nothing
  if (stem->shape[0] < 1 || stem->shape[0] > kMostChannels || classifier->shape[0] < 1 ||
      classifier->shape[0] > kMostChannels)
    fail(ErrorKind::checkpoint, "{}: {} channels and {} classes; not a checkpoint of a CIFAR ResNet", where,
         stem->shape[0], classifier->shape[0]);
  return ResNetOptions{.depth = 6 * blocks + 2,
                       .width = static_cast<int>(stem->shape[0]),
                       .num_classes = static_cast<int>(classifier->shape[0])};
}

void add_resnet_keys(ConfigSchema& schema) {
  auto model = schema.part<ResNetConfig>("model");
  model.add("depth", &ResNetConfig::depth, between(8, 10000), "layers, 6n+2: 8, 14, 20, 32, 44, 56, 110", "--depth");
  model.add("width", &ResNetConfig::width, between(1, 4096), "channels of the first group of blocks");
  schema.add_check("model", check_depth);
}

NetworkSpec configured_resnet(const Config& config, const Shape& image, int classes) {
  const auto& [depth, width] = config.part<ResNetConfig>();
  return resnet_spec({.depth = depth,
                      .width = width,
                      .num_classes = classes,
                      .image_height = static_cast<int>(image[0]),
                      .image_width = static_cast<int>(image[1])});
}

std::optional<NetworkSpec> resnet_spec_of(const ParameterFinder& find, const std::string& where) {
  const std::optional<ResNetOptions> options = recognize_resnet(find, where);
  if (!options) return std::nullopt;
  return resnet_spec(*options);
}

}  // namespace bsq
