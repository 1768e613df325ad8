// Norms behind filters whose channels have other scales than before: their running statistics follow.
#include "engine/training/norm_statistics.h"

#include "engine/methods/lsq/lsq_keys.h"
#include "engine/methods/methods.h"
#include "tests/support/bias_networks.h"
#include "tests/support/config.h"
#include "tests/support/engine.h"

namespace bsq::test {
namespace {

std::vector<float> state_named(const Model& model, Backend& backend, const std::string& name) {
  const std::vector<StateSpec>& states = model.network().states();
  for (std::size_t i = 0; i < states.size(); ++i)
    if (states[i].name == name)
      return download_array(backend, model.parameters().states[i], static_cast<std::size_t>(states[i].numel));
  return {};
}

void set_state(const Model& model, Backend& backend, const std::string& name, const std::vector<float>& values) {
  const std::vector<StateSpec>& states = model.network().states();
  for (std::size_t i = 0; i < states.size(); ++i)
    if (states[i].name == name) upload_array(backend, model.parameters().states[i], values);
}

}  // namespace

TEST_CASE("running statistics follow the scales of channels, but for the bias before the norm, and others stay") {
  const auto backend = make_reference_backend();
  TestModel test(*backend, vgg_bn({}), start_as_lsq(4));
  Model& model = test.model;
  for (const char* norm : {"bn1", "bn2"}) {
    const std::size_t channels = std::string(norm) == "bn1" ? 4 : 5;
    set_state(model, *backend, std::string(norm) + ".running_mean", std::vector<float>(channels, 3));
    set_state(model, *backend, std::string(norm) + ".running_var", std::vector<float>(channels, 2));
  }
  const std::vector<ParameterSpec>& parameters = model.network().parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (parameters[i].name == "conv1.bias")
      upload_array(*backend, model.parameters().values[i].as<float>(), std::vector<float>{0, 1, 3, -1});
  fit_norm_statistics(*backend, model);  // no channel has another scale yet
  CHECK(state_named(model, *backend, "bn1.running_mean") == std::vector<float>(4, 3));

  auto& store = dynamic_cast<LsqWeights&>(model.quantized());
  std::vector<std::vector<float>> scales(model.quantized_layout().slots.size());
  scales[0] = {1, 2, 4, 0.5F};
  REQUIRE(model.quantized_layout().slots[0].spec.name == "conv1.weight");
  store.set_output_scales(scales);
  fit_norm_statistics(*backend, model);
  CHECK(state_named(model, *backend, "bn1.running_mean") == std::vector<float>{3, 5, 3, 1});
  CHECK(state_named(model, *backend, "bn1.running_var") == std::vector<float>{2, 8, 32, 0.5F});
  CHECK(state_named(model, *backend, "bn2.running_mean") == std::vector<float>(5, 3));
  CHECK(state_named(model, *backend, "bn2.running_var") == std::vector<float>(5, 2));
}

TEST_CASE(
    "float weights that get a step per channel say by how much each channel grows, weights on a grid by nothing") {
  const auto backend = make_reference_backend();
  Config config = default_config();
  config.quant.weight_bits = 3;
  config.part<LsqConfig>().steps = "channel";
  const std::unique_ptr<Method> method = method_of_stage("lsq", config);
  const Network network = vgg_bn({});
  const auto scales_from = [&](const TestModel::MakeWeights& make) {
    DeviceMemory memory(*backend);
    Model model(memory, network, DType::f32, 1,
                [&](DeviceMemory& of_store, const ArenaLayout& layout, const float* gradients) {
                  return method->make_store(of_store, layout, gradients, make(layout));
                });
    const auto weights = dynamic_cast<const StoredLsq&>(*download(*backend, model.quantized().masters())).all();
    std::vector<std::vector<float>> scales;
    for (std::size_t slot = 0; slot < weights.size(); ++slot) {
      scales.push_back(model.quantized().output_scales(slot));
      for (std::size_t channel = 0; channel < scales.back().size(); ++channel)
        CHECK(scales.back()[channel] == weights[slot].step / weights[slot].channel_steps[channel]);
    }
    return scales;
  };
  const auto in_float = scales_from([](const ArenaLayout& layout) { return initial_weights(layout, 1); });
  CHECK(in_float[0].size() == 4);
  CHECK(in_float[1].size() == 5);
  CHECK(in_float.back().empty());
  for (const auto& scales : scales_from(start_as_planes(3))) CHECK(scales.empty());
}

}  // namespace bsq::test
