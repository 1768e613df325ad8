#include "models/wrn.h"

#include "models/depths.h"
#include "models/spec_builder.h"

namespace bsq {
namespace {

constexpr DepthRule kWrnDepths = {6, 4};

class WrnBuilder : public SpecBuilder {
 public:
  WrnBuilder(int depth, int widen_factor, double drop_rate, const Shape& image)
      : SpecBuilder(fmt::format("wrn-{}-{}", depth, widen_factor),
                    {{"depth", depth}, {"widen_factor", widen_factor}, {"drop_rate", drop_rate}}, image),
        depth_(depth),
        widen_factor_(widen_factor),
        drop_rate_(drop_rate) {}

  NetworkSpec build(int classes) {
    int channels = 16;
    std::string x = conv("conv1", kImage, {.out = channels});
    for (int stage = 1; stage <= 3; ++stage) {
      const int width = (16 << (stage - 1)) * widen_factor_;
      for (int i = 0; i < kWrnDepths.blocks(depth_); ++i) {
        x = layer(fmt::format("block{}.layer.{}.", stage, i), x, channels, width, stage > 1 && i == 0 ? 2 : 1);
        channels = width;
      }
    }
    x = norm("bn1", {x}, NodeActivation::quantized, "relu");
    x = add("avgpool", "average_pool", {x});
    classifier("fc", x, classes, {{"bias_initializer", "zero"}});
    return take();
  }

 private:
  std::string layer(const std::string& name, const std::string& input, int channels, int width, int stride) {
    const std::string activated = norm(name + "bn1", {input}, NodeActivation::quantized, name + "relu1");
    std::string x = conv(name + "conv1", activated, {.out = width, .stride = stride});
    x = norm(name + "bn2", {x}, NodeActivation::quantized, name + "relu2");
    if (drop_rate_ > 0) x = add(name + "dropout", "dropout", {x}, {{"rate", drop_rate_}});
    x = conv(name + "conv2", x, {.out = width});
    std::string shortcut = input;
    if (channels != width)
      shortcut = conv(name + "convShortcut", activated,
                      {.out = width, .kernel = 1, .stride = stride, .role = WeightRole::projection});
    return bias_act(name + "add", {x, shortcut}, NodeActivation::none);
  }

  int depth_;
  int widen_factor_;
  double drop_rate_;
};

}  // namespace

void add_wrn_keys(ConfigSchema& schema) {
  schema.add_family_keys("wrn",
                         {{"depth", 28, between(10, 10000), "layers, 6n+4: 16, 28, 40"},
                          {"widen_factor", 10, between(1, 64), "widths are 16, 32, 64 times it", "--widen-factor"},
                          {"drop_rate", 0.0, between(0, 1), "of dropout within the blocks", "--drop"}});
  schema.add_check("model", [](const Config& config, std::vector<Conflict>& conflicts) {
    if (config.model.arch == "wrn") check_depth(config, kWrnDepths, "", conflicts);
  });
}

NetworkSpec configured_wrn(const Config& config, const Shape& image, int classes) {
  return WrnBuilder(config.family<int>("depth"), config.family<int>("widen_factor"), config.family<double>("drop_rate"),
                    image)
      .build(classes);
}

}  // namespace bsq
