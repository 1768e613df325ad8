#include "models/preresnet.h"

#include "models/residual.h"
#include "models/spec_builder.h"

namespace bsq {
namespace {

class PreResNetBuilder : public SpecBuilder {
 public:
  PreResNetBuilder(const std::string& name, const ResidualSettings& settings, const Shape& image)
      : SpecBuilder(name, settings.json(/*shows_basic=*/true), image), settings_(settings) {}

  NetworkSpec build(int classes) {
    std::string x = conv("conv1", kImage, {.out = settings_.width});
    // A projection cannot read a convolution: its output goes through a sum of one.
    if (settings_.is_bottleneck) x = bias_act("stem", {x}, NodeActivation::none);
    int channels = settings_.width;
    for (int stage = 1; stage <= 3; ++stage) {
      const int planes = settings_.width << (stage - 1);
      for (int i = 0; i < settings_.blocks(); ++i) {
        x = block(fmt::format("layer{}.{}.", stage, i), x, channels, planes, stage > 1 && i == 0 ? 2 : 1);
        channels = settings_.outputs(planes);
      }
    }
    x = norm("bn", {x}, NodeActivation::quantized, "relu");
    x = add("avgpool", "average_pool", {x});
    classifier("fc", x, classes);
    return take();
  }

 private:
  std::string block(const std::string& name, const std::string& input, int channels, int planes, int stride) {
    const int outputs = settings_.outputs(planes);
    const std::vector<ConvOptions> convolutions = settings_.convolutions(planes, stride);
    std::string x = input;
    for (std::size_t i = 0; i < convolutions.size(); ++i) {
      x = norm(fmt::format("{}bn{}", name, i + 1), {x}, NodeActivation::quantized,
               fmt::format("{}relu{}", name, i + 1));
      x = conv(fmt::format("{}conv{}", name, i + 1), x, convolutions[i]);
    }
    std::string shortcut = input;
    if (stride != 1 || channels != outputs)
      shortcut = conv(name + "downsample.0", input,
                      {.out = outputs, .kernel = 1, .stride = stride, .role = WeightRole::projection});
    return bias_act(name + "add", {x, shortcut}, NodeActivation::none);
  }

  ResidualSettings settings_;
};

}  // namespace

void add_preresnet_keys(ConfigSchema& schema) {
  add_residual_keys(schema, "preresnet");
}

NetworkSpec configured_preresnet(const Config& config, const Shape& image, int classes) {
  const ResidualSettings settings = residual_settings(config);
  return PreResNetBuilder(settings.name("preresnet"), settings, image).build(classes);
}

}  // namespace bsq
