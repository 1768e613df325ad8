// kind = finetune_trace: one step of finetuning under a fixed scheme. The published code drops the classifier's bias
// there, which is this product's bias with 0 bits.
#include "engine/methods/weight_forms.h"
#include "engine/model/tensor_names.h"
#include "tests/golden/scatter.h"
#include "tests/golden/training_tolerances.h"

#include <nlohmann/json.hpp>

#include <cmath>

namespace bsq::golden {
namespace {

constexpr TrainingTolerances kTolerances;

/// The quantized tensors as a checkpoint of fixed-point weights has them.
TensorFile fixed_point_file(const TensorFile& trace, const ArenaLayout& layout) {
  const nlohmann::json bits = json_at(trace, "scheme");
  nlohmann::json scheme = nlohmann::json::object();
  for (const auto& [layer, width] : bits.items()) scheme[layer] = {width, 0};
  TensorFile file;
  file.path = trace.path;
  file.metadata["scheme"] = scheme.dump();
  for (const ParameterSlot& slot : layout.slots) {
    const std::string& name = slot.spec.name;
    const HostTensor* weight = trace.find("start." + name);
    const std::vector<float> zeros(static_cast<std::size_t>(slot.spec.shape.numel()));
    HostTensor u = weight != nullptr ? *weight : HostTensor::from<float>("", file_shape(slot.spec.shape), zeros);
    HostTensor scale = weight != nullptr ? trace.at("start." + scale_name(name))
                                         : HostTensor::from<float>("", {1}, std::span(zeros).first(1));
    u.name = plane_name(name, "u");
    scale.name = scale_name(name);
    file.tensors.push_back(std::move(u));
    file.tensors.push_back(std::move(scale));
  }
  return file;
}

double loss_of(const FirstStep& step) {
  return step.metrics.loss_sum / static_cast<double>(step.metrics.samples);
}

}  // namespace

void compare_finetune_trace(const TensorFile& trace, Comparison& comparison) {
  const TrainingSetup setup = read_setup(trace);
  on_every_backend(comparison, [&](Backend& backend) {
    if (backend.name() == "reference" && too_slow_for_reference(setup, comparison)) return;
    const auto first_step = [&](const TrainingSetup& from) {
      return TrainingReplay(backend, trace, from,
                            [&](const ArenaLayout& layout) {
                              return read_weights(fixed_point_file(trace, layout), layout, kMaxBits);
                            })
          .run_first_step();
    };
    const FirstStep step = first_step(setup);
    compare_first_step(backend.name(), trace, setup, step, comparison);
    const double stored = number_at(trace, "ce_loss");
    if (setup.network.act_bits == 0) {
      comparison.check(backend.name() + " ce_loss", relative_error(loss_of(step), stored), kTolerances.loss[0]);
    } else if (backend.name() == "reference") {
      comparison.note("reference: the scatter of disturbed runs takes too long");
    } else {
      Scatter losses;
      for (int run = 0; run < kScatterRuns; ++run) losses.add(loss_of(first_step(disturbed(setup, run))));
      comparison.check(backend.name() + " ce_loss, in deviations",
                       losses.deviations(stored, kTolerances.scatter_loss * stored), kTolerances.deviations);
    }
  });
}

}  // namespace bsq::golden
