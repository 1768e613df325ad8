#include "models/torchvision_resnet.h"

#include "models/residual_blocks.h"

#include <array>
#include <map>

namespace bsq {
namespace {

struct Layout {
  std::array<int, 4> blocks{};  // of each stage
  bool is_bottleneck = false;
};

const std::map<int, Layout>& layouts() {
  static const std::map<int, Layout> table = {
      {18, {{2, 2, 2, 2}, false}}, {34, {{3, 4, 6, 3}, false}}, {50, {{3, 4, 6, 3}, true}}};
  return table;
}

}  // namespace

void add_torchvision_resnet_keys(ConfigSchema& schema) {
  schema.add_family_keys("torchvision_resnet", {{"depth", 18, between(18, 50), "layers: 18, 34 or 50"}});
  schema.add_check("model", [](const Config& config, std::vector<Conflict>& conflicts) {
    if (config.model.arch != "torchvision_resnet" || layouts().count(config.family<int>("depth")) > 0) return;
    conflicts.push_back(
        {{"model.depth"}, fmt::format("model.depth = {}; must be 18, 34 or 50", config.family<int>("depth"))});
  });
}

NetworkSpec configured_torchvision_resnet(const Config& config, const Shape& image, int classes) {
  constexpr int kWidth = 64;
  const int depth = config.family<int>("depth");
  const Layout& layout = layouts().at(depth);
  const ResidualSettings settings = {.depth = depth, .width = kWidth, .is_bottleneck = layout.is_bottleneck};
  ResidualBuilder builder(fmt::format("resnet{}", depth), {{"depth", depth}}, settings, image);
  std::string x = builder.conv("conv1", kImage, {.out = kWidth, .kernel = 7, .stride = 2});
  x = builder.norm("bn1", {x}, NodeActivation::float_relu, "relu");
  x = builder.add("maxpool", "max_pool", {x}, {{"kernel", 3}, {"stride", 2}, {"padding", 1}});
  x = builder.stages(x, kWidth, layout.blocks);
  x = builder.add("avgpool", "average_pool", {x});
  builder.classifier("fc", x, classes);
  return builder.take();
}

}  // namespace bsq
