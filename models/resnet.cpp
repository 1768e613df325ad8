// The list of nodes of a CIFAR ResNet.
#include "models/resnet.h"

#include "engine/model/tensor_names.h"
#include "engine/network/layers/average_pool.h"
#include "engine/network/layers/conv2d.h"
#include "engine/network/layers/linear.h"
#include "engine/network/layers/norm_act.h"
#include "kernels/base/error.h"

namespace bsq {
namespace {

constexpr float kInitialClip = 10.0F;  // PACT's alpha before training
constexpr float kNotCalibrated = -1.0F;

class ResNetBuilder {
 public:
  explicit ResNetBuilder(const ResNetOptions& options)
      : options_(options), network_({options.image_height, options.image_width, 3}) {}

  Network build() {
    TensorId x = conv("conv1", 0, {.in_channels = 3, .out_channels = options_.width});
    x = norm("bn1", {x}, options_.width, Activation::relu, 0, "relu");
    int channels = options_.width;
    for (int stage = 1; stage <= 3; ++stage) {
      const int out_channels = options_.width << (stage - 1);
      for (int block = 0; block < (options_.depth - 2) / 6; ++block) {
        const int stride = stage > 1 && block == 0 ? 2 : 1;
        x = basic_block(fmt::format("layer{}.{}", stage, block), x, channels, out_channels, stride);
        channels = out_channels;
      }
    }
    x = network_.add("avgpool", std::make_unique<AveragePool>(), {x});
    add_classifier(x, channels);
    return std::move(network_);
  }

 private:
  TensorId basic_block(const std::string& name, TensorId input, int in_channels, int out_channels, int stride) {
    TensorId x =
        conv(name + ".conv1", input, {.in_channels = in_channels, .out_channels = out_channels, .stride = stride});
    x = norm(name + ".bn1", {x}, out_channels, options_.activation, options_.act_bits, name + ".relu1");
    x = conv(name + ".conv2", x, {.in_channels = out_channels, .out_channels = out_channels});
    TensorId shortcut = input;
    if (stride != 1 || in_channels != out_channels) {
      shortcut =
          conv(name + ".downsample.0", input,
               {.in_channels = in_channels, .out_channels = out_channels, .kernel = 1, .stride = stride, .padding = 0});
      shortcut = norm(name + ".downsample.1", {shortcut}, out_channels, Activation::none, 0, "");
    }
    return norm(name + ".bn2", {x, shortcut}, out_channels, options_.activation, options_.act_bits, name + ".relu2");
  }

  TensorId conv(const std::string& name, TensorId input, const Conv2dOptions& conv) {
    const bool is_shortcut = conv.kernel == 1;
    const ParameterId weight =
        network_.add_parameter({.name = name + ".weight",
                                .shape = {conv.out_channels, conv.kernel, conv.kernel, conv.in_channels},
                                .group = is_shortcut ? ParameterGroup::plain : ParameterGroup::quantized,
                                .initializer = is_shortcut ? Initializer::torch_default : Initializer::he_fan_out,
                                .fan_in = conv.in_channels * conv.kernel * conv.kernel});
    return network_.add(name, std::make_unique<Conv2d>(conv, weight), {input});
  }

  TensorId norm(const std::string& name, const std::vector<TensorId>& inputs, int channels, Activation activation,
                int act_bits, const std::string& activation_name) {
    NormActParameters ids;
    ids.gamma = network_.add_parameter({.name = name + ".weight", .shape = {channels}, .constant = 1});
    ids.beta = network_.add_parameter({.name = name + ".bias", .shape = {channels}, .constant = 0});
    ids.running_mean = network_.add_state({name + ".running_mean", channels, 0.0F});
    ids.running_var = network_.add_state({name + ".running_var", channels, 1.0F});
    if (activation == Activation::pact)
      ids.clip = network_.add_parameter({.name = activation_name + ".alpha", .shape = {1}, .constant = kInitialClip});
    if (options_.static_act_scales && act_bits > 0)
      ids.act_scale = network_.add_state({activation_name + ".act_scale", 1, kNotCalibrated});
    const NormActOptions options{
        .channels = channels, .activation = activation, .act_bits = act_bits, .activation_name = activation_name};
    return network_.add(name, std::make_unique<NormAct>(options, ids), inputs);
  }

  void add_classifier(TensorId input, int features) {
    const ParameterId weight = network_.add_parameter({.name = "fc.weight",
                                                       .shape = {options_.num_classes, features},
                                                       .group = ParameterGroup::quantized,
                                                       .initializer = Initializer::torch_default,
                                                       .fan_in = features});
    const ParameterId bias = network_.add_parameter({.name = "fc.bias",
                                                     .shape = {options_.num_classes},
                                                     .group = ParameterGroup::quantized,
                                                     .initializer = Initializer::torch_default,
                                                     .fan_in = features});
    network_.add("fc", std::make_unique<Linear>(features, options_.num_classes, weight, bias), {input});
  }

  ResNetOptions options_;
  Network network_;
};

/// A quantizable weight's tensor in whatever form the file has, or null.
const HostTensor* find_weight(const TensorFile& file, const std::string& name) {
  for (const std::string& candidate : {name, plane_name(name, "p"), plane_name(name, "u")})
    if (const HostTensor* tensor = file.find(candidate)) return tensor;
  return nullptr;
}

}  // namespace

Network make_resnet(const ResNetOptions& options) {
  if (options.depth < 8 || (options.depth - 2) % 6 != 0)
    fail(ErrorKind::usage, "model.depth = {}: a CIFAR ResNet has 6n + 2 layers; try 8, 14, 20, 32, 44, 56",
         options.depth);
  return ResNetBuilder(options).build();
}

ResNetOptions resnet_options_of(const TensorFile& file) {
  const HostTensor* stem = find_weight(file, "conv1.weight");
  const HostTensor* classifier = find_weight(file, "fc.weight");
  if (stem == nullptr || classifier == nullptr || stem->shape.size() < 4 || classifier->shape.size() < 2)
    fail(ErrorKind::checkpoint, "{}: no conv1.weight and fc.weight in it; not a checkpoint of a CIFAR ResNet",
         file.path.string());
  int blocks = 0;
  while (find_weight(file, fmt::format("layer1.{}.conv1.weight", blocks)) != nullptr) ++blocks;
  if (blocks == 0)
    fail(ErrorKind::checkpoint, "{}: no layer1.0.conv1.weight in it; not a checkpoint of a CIFAR ResNet",
         file.path.string());
  constexpr std::int64_t kMostChannels = 1 << 16;  // a hostile file may claim any shape that holds nothing
  if (stem->shape[0] < 1 || stem->shape[0] > kMostChannels || classifier->shape[0] < 1 ||
      classifier->shape[0] > kMostChannels)
    fail(ErrorKind::checkpoint, "{}: {} channels and {} classes; not a checkpoint of a CIFAR ResNet",
         file.path.string(), stem->shape[0], classifier->shape[0]);
  return {.depth = 6 * blocks + 2,
          .width = static_cast<int>(stem->shape[0]),
          .num_classes = static_cast<int>(classifier->shape[0])};
}

}  // namespace bsq
