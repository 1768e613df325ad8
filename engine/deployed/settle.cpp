#include "engine/deployed/settle.h"

#include "engine/deployed/deploy.h"
#include "engine/deployed/value_ranges.h"
#include "engine/network/layers/conv2d.h"
#include "engine/network/layers/norm_act.h"

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

/// Whether calibration has found a finite number for every state that it is for.
bool is_calibrated(const Network& network, const TensorFile& file) {
  return std::ranges::all_of(network.states(), [&](const StateSpec& state) {
    if (state.role != Role::act_scale && state.role != Role::value_range) return true;
    const auto numbers = file.at(state.name).values<float>();
    const bool is_finite = std::ranges::all_of(numbers, [](float number) { return std::isfinite(number); });
    return is_finite && numbers.back() >= 0;
  });
}

class Settler {
 public:
  Settler(Model& model, const DeploymentPlan& plan, const ParameterNumbers& numbers, const DeployedNetwork& deployed)
      : model_(model), network_(model.network()), plan_(plan), numbers_(numbers), deployed_(deployed) {}

  void settle() {
    for (std::size_t i = 0; i < plan_.levels.size(); ++i) {
      const PlannedLevels& planned = plan_.levels[i];
      const auto* convolution = std::get_if<LevelConvolution>(&deployed_.nodes[i].operation);
      if (convolution == nullptr || planned.affine < 0) continue;
      const Node& affine = network_.nodes()[static_cast<std::size_t>(planned.affine)];
      const auto* norm = dynamic_cast<const NormAct*>(affine.layer.get());
      if (norm == nullptr) continue;
      const ChannelAffine values = affine_of(affine, numbers_, norm->options().channels);
      settle_filter(planned, *convolution, values);
      settle_offsets(*norm, *convolution, values,
                     deployed_.tensors[static_cast<std::size_t>(planned.inputs[0])].grid.unit);
    }
  }

 private:
  const Node& node(int number) const { return network_.nodes()[static_cast<std::size_t>(number)]; }

  void set(ParameterId id, const std::vector<float>& values) {
    const std::string& name = network_.parameters()[static_cast<std::size_t>(id)].name;
    for (const ParameterSlot& slot : model_.plain_layout().slots)
      if (slot.spec.name == name) model_.plain().set(slot, values);
  }

  void settle_filter(const PlannedLevels& planned, const LevelConvolution& convolution, const ChannelAffine& affine) {
    const auto* conv = planned.product < 0 ? nullptr : dynamic_cast<const Conv2d*>(node(planned.product).layer.get());
    if (conv == nullptr || numbers_.spec(conv->weight()).group == ParameterGroup::quantized) return;
    std::vector<float> weights = numbers_.values(conv->weight());
    const std::size_t length = weights.size() / convolution.scale.size();
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const std::size_t channel = i / length;
      if (affine.a[channel] == 0) continue;  // nothing of it is seen
      weights[i] = static_cast<float>(convolution.k[i] * double{convolution.scale[channel]} / affine.a[channel]);
    }
    set(conv->weight(), weights);
  }

  void settle_offsets(const NormAct& norm, const LevelConvolution& convolution, const ChannelAffine& affine,
                      float x_unit) {
    std::vector<float> beta = numbers_.values(norm.ids().beta);
    for (std::size_t channel = 0; channel < beta.size(); ++channel) {
      const double unit = double{x_unit * convolution.scale[channel]};
      beta[channel] = static_cast<float>(beta[channel] + (convolution.bias[channel] * unit - affine.c[channel]));
    }
    set(norm.ids().beta, beta);
  }

  Model& model_;
  const Network& network_;
  const DeploymentPlan& plan_;
  const ParameterNumbers& numbers_;
  const DeployedNetwork& deployed_;
};

}  // namespace

void settle_in_integers(Backend& backend, Model& model, const DeploymentPlan& plan, const InputOptions& input) {
  const Range range(backend, "settling in integers");
  const TensorFile file = model.save();
  if (!is_calibrated(model.network(), file)) return;
  const ValueRanges ranges = trained_ranges(model.network(), plan, file);
  if (!has_all(ranges, plan)) return;
  const Weights weights = model.weights();
  const ParameterNumbers numbers(model.network(), file, *weights);
  const Deployment deployment = deploy(model.network(), plan, numbers, ranges, input);
  Settler(model, plan, numbers, deployment.network).settle();
}

}  // namespace bsq
