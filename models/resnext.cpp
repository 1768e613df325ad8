#include "models/resnext.h"

#include "models/depths.h"
#include "models/spec_builder.h"

#include <cmath>

namespace bsq {
namespace {

constexpr DepthRule kResnextDepths = {9, 2};
constexpr int kWidenFactor = 4;

class ResNextBuilder : public SpecBuilder {
 public:
  ResNextBuilder(int depth, int cardinality, const Shape& image)
      : SpecBuilder(fmt::format("resnext{}-{}x64", depth, cardinality),
                    {{"depth", depth}, {"cardinality", cardinality}, {"widen_factor", kWidenFactor}}, image),
        depth_(depth),
        cardinality_(cardinality) {}

  NetworkSpec build(int classes) {
    int channels = 64;
    std::string x = conv("conv_1_3x3", kImage, {.out = channels});
    x = norm("bn_1", {x}, NodeActivation::float_relu, "relu");
    for (int stage = 1; stage <= 3; ++stage) {
      const int outputs = 64 * kWidenFactor << (stage - 1);
      for (int i = 0; i < kResnextDepths.blocks(depth_); ++i) {
        x = block(fmt::format("stage_{0}.stage_{0}_bottleneck_{1}.", stage, i), x, channels, outputs,
                  stage > 1 && i == 0 ? 2 : 1);
        channels = outputs;
      }
    }
    x = add("avgpool", "average_pool", {x});
    const double deviation = std::sqrt(2.0 / channels);  // the linear layer as a convolution of one pixel
    classifier("classifier", x, classes,
               {{"initializer", "normal"}, {"deviation", deviation}, {"bias_initializer", "zero"}});
    return take();
  }

 private:
  std::string block(const std::string& name, const std::string& input, int channels, int outputs, int stride) {
    const int inner = cardinality_ * outputs / kWidenFactor;
    std::string x = conv(name + "conv_reduce", input, {.out = inner, .kernel = 1});
    x = norm(name + "bn_reduce", {x}, NodeActivation::quantized, name + "relu1");
    x = conv(name + "conv_conv", x, {.out = inner, .stride = stride, .groups = cardinality_});
    x = norm(name + "bn", {x}, NodeActivation::quantized, name + "relu2");
    x = conv(name + "conv_expand", x, {.out = outputs, .kernel = 1});
    std::string shortcut = input;
    if (channels != outputs) {
      shortcut = conv(name + "shortcut.shortcut_conv", input,
                      {.out = outputs, .kernel = 1, .stride = stride, .role = WeightRole::projection});
      shortcut = norm(name + "shortcut.shortcut_bn", {shortcut}, NodeActivation::none);
    }
    return norm(name + "bn_expand", {x, shortcut}, NodeActivation::quantized, name + "relu3");
  }

  int depth_;
  int cardinality_;
};

}  // namespace

void add_resnext_keys(ConfigSchema& schema) {
  schema.add_family_keys(
      "resnext", {{"depth", 29, between(11, 10000), "layers, 9n+2"},
                  {"cardinality", 8, between(1, 256), "groups of the 3x3 convolutions", "--cardinality"},
                  {"widen_factor", kWidenFactor, between(1, 64), "must be 4, for which the published code is written",
                   "--widen-factor"}});
  schema.add_check("model", [](const Config& config, std::vector<Conflict>& conflicts) {
    if (config.model.arch != "resnext") return;
    check_depth(config, kResnextDepths, "", conflicts);
    if (const int factor = config.family<int>("widen_factor"); factor != kWidenFactor)
      conflicts.push_back(
          {{"model.widen_factor"},
           fmt::format("model.widen_factor = {}; must be {}: it cancels out of the widths, and with any "
                       "other the published code mixes pictures up",
                       factor, kWidenFactor)});
  });
}

NetworkSpec configured_resnext(const Config& config, const Shape& image, int classes) {
  return ResNextBuilder(config.family<int>("depth"), config.family<int>("cardinality"), image).build(classes);
}

}  // namespace bsq
