#include "models/alexnet.h"

#include "models/spec_builder.h"

namespace bsq {
namespace {

constexpr ConvOptions kConvolutions[] = {
    {.out = 64, .kernel = 11, .stride = 4}, {.out = 192, .kernel = 5}, {.out = 384}, {.out = 256}, {.out = 256}};
constexpr bool kHasPool[] = {true, true, false, false, true};

}  // namespace

NetworkSpec configured_alexnet(const Config& /*config*/, const Shape& image, int classes) {
  SpecBuilder builder("alexnet", nlohmann::ordered_json::object(), image);
  std::string x = kImage;
  int place = 0;  // in PyTorch's list of modules
  const auto next = [&] { return fmt::format("features.{}", place++); };
  for (std::size_t i = 0; i < std::size(kConvolutions); ++i) {
    ConvOptions options = kConvolutions[i];
    options.bias = ConvBias::quantized;
    options.torch_initializer = true;
    x = builder.conv(next(), x, options);
    const std::string name = next();
    x = builder.bias_act(name, {x}, i == 0 ? NodeActivation::float_relu : NodeActivation::quantized, name);
    if (kHasPool[i]) x = builder.add(next(), "max_pool", {x}, {{"kernel", 2}});
  }
  x = builder.add("avgpool", "average_pool", {x});
  builder.classifier("classifier", x, classes, {{"bias_initializer", "torch_default"}});
  return builder.take();
}

}  // namespace bsq
