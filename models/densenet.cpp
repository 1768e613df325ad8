#include "models/densenet.h"

#include "models/depths.h"
#include "models/spec_builder.h"

#include <cmath>

namespace bsq {
namespace {

struct DenseNetSettings {
  int depth = 0;
  int growth_rate = 0;
  double compression_rate = 0;
  bool is_bottleneck = false;
  double drop_rate = 0;

  DepthRule rule() const { return is_bottleneck ? DepthRule{6, 4} : DepthRule{3, 4}; }
  std::string name() const { return fmt::format("densenet{}-{}-{}", is_bottleneck ? "-bc" : "", depth, growth_rate); }
  nlohmann::ordered_json json() const {
    return {{"depth", depth},
            {"growth_rate", growth_rate},
            {"compression_rate", compression_rate},
            {"block", is_bottleneck ? "bottleneck" : "basic"},
            {"drop_rate", drop_rate}};
  }
};

DenseNetSettings settings_of(const Config& config) {
  return {.depth = config.family<int>("depth"),
          .growth_rate = config.family<int>("growth_rate"),
          .compression_rate = config.family<double>("compression_rate"),
          .is_bottleneck = config.family<std::string>("block") == "bottleneck",
          .drop_rate = config.family<double>("drop_rate")};
}

class DenseNetBuilder : public SpecBuilder {
 public:
  DenseNetBuilder(const DenseNetSettings& settings, const Shape& image)
      : SpecBuilder(settings.name(), settings.json(), image), settings_(settings) {}

  NetworkSpec build(int classes) {
    channels_ = 2 * settings_.growth_rate;
    std::string x = conv("conv1", kImage, {.out = channels_});
    for (int stage = 1; stage <= 3; ++stage) {
      for (int i = 0; i < settings_.rule().blocks(settings_.depth); ++i)
        x = layer(fmt::format("dense{}.{}.", stage, i), x);
      if (stage < 3) x = transition(fmt::format("trans{}.", stage), x);
    }
    x = norm("bn", {x}, NodeActivation::quantized, "relu");
    x = add("avgpool", "average_pool", {x});
    classifier("fc", x, classes);
    return take();
  }

 private:
  std::string layer(const std::string& name, const std::string& input) {
    const int growth = settings_.growth_rate;
    std::string x = norm(name + "bn1", {input}, NodeActivation::quantized, name + "relu1");
    if (settings_.is_bottleneck) {
      x = conv(name + "conv1", x, {.out = 4 * growth, .kernel = 1});
      x = norm(name + "bn2", {x}, NodeActivation::quantized, name + "relu2");
    }
    x = conv(name + (settings_.is_bottleneck ? "conv2" : "conv1"), x, {.out = growth});
    if (settings_.drop_rate > 0) x = add(name + "dropout", "dropout", {x}, {{"rate", settings_.drop_rate}});
    channels_ += growth;
    return add(name + "concat", "concat", {input, x});
  }

  std::string transition(const std::string& name, const std::string& input) {
    channels_ = static_cast<int>(std::floor(channels_ / settings_.compression_rate));
    std::string x = norm(name + "bn1", {input}, NodeActivation::quantized, name + "relu");
    x = conv(name + "conv1", x, {.out = channels_, .kernel = 1});
    return add(name + "avgpool", "average_pool", {x}, {{"kernel", 2}});
  }

  DenseNetSettings settings_;
  int channels_ = 0;
};

}  // namespace

void add_densenet_keys(ConfigSchema& schema) {
  constexpr int kMostChannels = 4096;
  schema.add_family_keys(
      "densenet",
      {{"depth", 100, between(7, 10000), "layers, 6n+4 (22, 40, 100, 190); basic 3n+4"},
       {"growth_rate", 12, between(1, kMostChannels), "channels that a layer appends", "--growthRate"},
       {"compression_rate", 2.0, between(1, 64), "a transition divides the channels by it", "--compressionRate"},
       {"block", std::string("bottleneck"), one_of({"basic", "bottleneck"}),
        "a 3x3 convolution, or a 1x1 before it (DenseNet-BC)"},
       {"drop_rate", 0.0, between(0, 1), "of dropout on what a layer appends", "--drop"}});
  schema.add_check("model", [](const Config& config, std::vector<Conflict>& conflicts) {
    if (config.model.arch != "densenet") return;
    const DenseNetSettings settings = settings_of(config);
    check_depth(config, settings.rule(), settings.is_bottleneck ? "" : ", with model.block basic", conflicts);
    if (2.0 * settings.growth_rate < settings.compression_rate)
      conflicts.push_back({{"model.compression_rate", "model.growth_rate"},
                           fmt::format("model.compression_rate = {}; leaves no channel of {}",
                                       settings.compression_rate, 2 * settings.growth_rate)});
  });
}

NetworkSpec configured_densenet(const Config& config, const Shape& image, int classes) {
  return DenseNetBuilder(settings_of(config), image).build(classes);
}

}  // namespace bsq
