// What cuDNN would run of the published networks on a GPU, asked without one.
#include "engine/network/layer_kinds.h"
#include "models/families.h"
#include "tests/support/config.h"
#include "tests/support/cudnn/plans.h"

#include <algorithm>
#include <filesystem>

namespace bsq::test {
namespace {

/// The convolutions of a network in float32, without repetition.
void add_layers(const NetworkSpec& spec, int batch, std::vector<ConvGeometry>& layers) {
  const Network network = build_network(spec, {.activation = Activation::relu});
  const std::vector<TensorSpec> tensors = network.tensors(batch, DType::f32);
  for (const Node& node : network.nodes()) {
    const auto request = node.layer->convolution(network.inputs_of(node, tensors), {});
    if (request && std::ranges::find(layers, request->geometry) == layers.end()) layers.push_back(request->geometry);
  }
}

/// Of all recipes in configs/, and of torchvision's networks.
std::vector<ConvGeometry> published_layers() {
  std::vector<ConvGeometry> layers;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(BSQ_SOURCE_DIR) / "configs")) {
    if (entry.path().extension() != ".yaml") continue;
    const std::vector<std::string> overrides = {"data.root=d", "model.init=m.safetensors"};
    const Config config = load_config(schema(), entry.path(), overrides, ConfigUse::sweep);
    add_layers(configured_network(config, {32, 32, 3}, 10), config.data.batch_size, layers);
  }
  for (const auto& [arch, depth] :
       {std::pair{"torchvision_resnet", 18}, {"torchvision_resnet", 50}, {"mobilenet_v2", 0}}) {
    Config config = default_config();
    config.model.arch = arch;
    if (depth > 0) config.set_family("depth", depth);
    add_layers(configured_network(config, {224, 224, 3}, 1000), 64, layers);
  }
  return layers;
}

/// Layers of a dense block differ in nothing but how many channels they read; with hundreds of convolutions to plan,
/// every `stride`-th has to do.
void check_published_layers(std::size_t stride) {
  const std::vector<ConvGeometry> layers = published_layers();
  CHECK(layers.size() > 250);
  for (const Gpu& gpu : kGpus) {
    INFO(gpu.name);
    for (std::size_t i = 0; i < layers.size(); i += stride) {
      ConvGeometry geometry = layers[i];
      for (const bool allow_tf32 : {false, true}) check_plans(gpu, geometry, allow_tf32);
      geometry.dtype = DType::bf16;
      check_plans(gpu, geometry, false);
    }
  }
}

}  // namespace

TEST_CASE("cuDNN has an engine for convolutions of every published network, in every precision") {
  check_published_layers(6);
}

TEST_CASE("cuDNN has an engine for every convolution of every published network, in every precision", "[.]") {
  check_published_layers(1);
}

}  // namespace bsq::test
