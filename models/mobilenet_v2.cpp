#include "models/mobilenet_v2.h"

#include "models/spec_builder.h"

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

constexpr double kDropRate = 0.2;

struct Stage {
  int expansion;
  int channels;
  int blocks;
  int stride;
};
constexpr Stage kStages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                             {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};

/// The nearest multiple of 8, at least 8, and not below 0.9 times the value.
int multiple_of_8(double value) {
  const int nearest = std::max(8, static_cast<int>(value + 4) / 8 * 8);
  return nearest < 0.9 * value ? nearest + 8 : nearest;
}

class MobileNetBuilder : public SpecBuilder {
 public:
  MobileNetBuilder(double width, double drop_rate, const Shape& image)
      : SpecBuilder(width == 1 ? "mobilenet_v2" : fmt::format("mobilenet_v2-{}", width),
                    {{"width_mult", width}, {"drop_rate", drop_rate}}, image),
        width_(width),
        drop_rate_(drop_rate) {}

  NetworkSpec build(int classes) {
    int channels = multiple_of_8(32 * width_);
    std::string x = conv("features.0.0", kImage, {.out = channels, .stride = 2});
    x = add("features.0.1", "norm_act", {x}, {{"activation", "relu6"}, {"activation_name", "features.0.2"}});
    int place = 1;  // in PyTorch's list of modules
    for (const Stage& stage : kStages) {
      const int outputs = multiple_of_8(stage.channels * width_);
      for (int i = 0; i < stage.blocks; ++i, ++place) {
        x = block(fmt::format("features.{}.conv.", place), x, channels, outputs, stage.expansion,
                  i == 0 ? stage.stride : 1);
        channels = outputs;
      }
    }
    x = conv_norm(fmt::format("features.{}.", place), x,
                  {.out = multiple_of_8(1280 * std::max(1.0, width_)), .kernel = 1});
    x = add("avgpool", "average_pool", {x});
    if (drop_rate_ > 0) x = add("classifier.0", "dropout", {x}, {{"rate", drop_rate_}});
    classifier("classifier.1", x, classes,
               {{"initializer", "normal"}, {"deviation", 0.01}, {"bias_initializer", "zero"}});
    return take();
  }

 private:
  /// A convolution, its norm and ReLU6: modules 0, 1 and 2 of `name`.
  std::string conv_norm(const std::string& name, const std::string& input, const ConvOptions& options) {
    const std::string x = conv(name + "0", input, options);
    return norm(name + "1", {x}, NodeActivation::quantized_6, name + "2");
  }

  std::string block(const std::string& name, const std::string& input, int channels, int outputs, int expansion,
                    int stride) {
    const int hidden = channels * expansion;
    std::string x = input;
    int place = 0;
    if (expansion != 1) x = conv_norm(fmt::format("{}{}.", name, place++), x, {.out = hidden, .kernel = 1});
    x = conv_norm(fmt::format("{}{}.", name, place++), x, {.out = hidden, .stride = stride, .groups = hidden});
    x = conv(fmt::format("{}{}", name, place++), x, {.out = outputs, .kernel = 1});
    std::vector<std::string> inputs = {x};
    if (stride == 1 && channels == outputs) inputs.push_back(input);
    return norm(fmt::format("{}{}", name, place), inputs, NodeActivation::none);
  }

  double width_;
  double drop_rate_;
};

}  // namespace

void add_mobilenet_v2_keys(ConfigSchema& schema) {
  schema.add_family_keys("mobilenet_v2",
                         {{"width_mult", 1.0, between(0.05, 16), "factor of all widths, which stay multiples of 8"},
                          {"drop_rate", kDropRate, between(0, 1), "of dropout before the classifier", "--drop"}});
}

NetworkSpec configured_mobilenet_v2(const Config& config, const Shape& image, int classes) {
  return MobileNetBuilder(config.family<double>("width_mult"), config.family<double>("drop_rate"), image)
      .build(classes);
}

}  // namespace bsq
