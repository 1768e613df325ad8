// What a step enqueues, in order.
#include "engine/training_step.h"

namespace bsq {

TrainingStep::TrainingStep(DeviceMemory& memory, Model& model, BatchSource& source, const AugmentRule& augment,
                           const SgdRule& rule, int batch_size, std::int64_t metrics_slots, DType dtype)
    : backend_(memory.backend()),
      model_(model),
      source_(source),
      augment_(augment),
      rule_(rule),
      executor_(memory, model.network(), model.parameters(), batch_size, dtype, ExecutionMode::training),
      labels_(memory.allocate_array<std::int32_t>("labels, training", static_cast<std::size_t>(batch_size))),
      inputs_(memory.allocate_array<StepInputs>("step inputs, training", 1)),
      metrics_(memory.allocate_array<StepMetrics>("metrics, training", static_cast<std::size_t>(metrics_slots))) {}

void TrainingStep::enqueue(int batch) {
  const auto* inputs = inputs_.as<StepInputs>();
  auto* metrics = metrics_.as<StepMetrics>();
  model_.materialize(inputs, metrics);
  backend_.augment({augment_, source_.samples(), inputs, batch, executor_.images(batch), labels_.as<std::int32_t>()});
  executor_.forward(batch);
  const TensorView logits = executor_.logits(batch);
  backend_.softmax_cross_entropy(batch, static_cast<int>(logits.shape[1]), logits.as<float>(),
                                 labels_.as<std::int32_t>(), executor_.d_logits(batch).as<float>(), inputs, metrics);
  executor_.backward(batch);
  model_.step(rule_, inputs);
}

void TrainingStep::run(int batch, const StepInputs& inputs) {
  backend_.upload(inputs_.data(), &inputs, sizeof(inputs));
  std::unique_ptr<CapturedWork>& work = captured_[batch];
  if (work == nullptr) work = backend_.capture([this, batch] { enqueue(batch); });
  work->replay();
  ++model_.batches_tracked;
}

std::vector<StepMetrics> TrainingStep::metrics(std::int64_t first_slot, std::int64_t count) const {
  return download_array(backend_, metrics_.as<StepMetrics>() + first_slot, static_cast<std::size_t>(count));
}

}  // namespace bsq
