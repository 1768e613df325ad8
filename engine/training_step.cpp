// What a step enqueues, in order.
#include "engine/training_step.h"

#include "engine/ranks.h"

namespace bsq {
namespace {

int largest_slice(int batch_size, const Communicator& communicator) {
  return static_cast<int>(slice_of(batch_size, 0, communicator.world()).count);
}

/// What this rank gets of a full batch and of the last one, where that is something.
std::vector<int> own_slices(std::int64_t samples, int batch_size, const Communicator& communicator) {
  std::vector<int> counts;
  for (const std::int64_t batch : {std::int64_t{batch_size}, samples % batch_size}) {
    const std::int64_t count = slice_of(batch, communicator.rank(), communicator.world()).count;
    if (count > 0) counts.push_back(static_cast<int>(count));
  }
  return counts;
}

}  // namespace

TrainingStep::TrainingStep(DeviceMemory& memory, Model& model, BatchSource& source, const AugmentRule& augment,
                           const SgdRule& rule, int batch_size, std::int64_t metrics_slots, Communicator& communicator)
    : backend_(memory.backend()),
      model_(model),
      source_(source),
      augment_(augment),
      rule_(rule),
      communicator_(communicator),
      executor_(memory, model.network(), model.parameters(), largest_slice(batch_size, communicator), model.dtype(),
                ExecutionMode::training, own_slices(source.size(), batch_size, communicator)),
      reducer_(communicator, model),
      labels_(memory.allocate_array<std::int32_t>("labels, training", static_cast<std::size_t>(executor_.max_batch()))),
      inputs_(memory.allocate_array<StepInputs>("step inputs, training", 1)),
      metrics_(memory.allocate_array<StepMetrics>("metrics, training", static_cast<std::size_t>(metrics_slots))) {}

void TrainingStep::enqueue(int batch, float weight) {
  const auto* inputs = inputs_.as<StepInputs>();
  auto* metrics = metrics_.as<StepMetrics>();
  model_.materialize(inputs, metrics);
  if (batch > 0)
    enqueue_slice(batch, weight);
  else
    enqueue_nothing();
  reducer_.finish();
  model_.step(rule_, inputs);
}

void TrainingStep::enqueue_slice(int batch, float weight) {
  const auto* inputs = inputs_.as<StepInputs>();
  backend_.augment({augment_, source_.samples(), inputs, batch, executor_.images(batch), labels_.as<std::int32_t>()});
  executor_.forward(batch);
  reducer_.start_statistics(weight);
  const TensorView logits = executor_.logits(batch);
  backend_.softmax_cross_entropy(batch, static_cast<int>(logits.shape[1]), logits.as<float>(),
                                 labels_.as<std::int32_t>(), executor_.d_logits(batch).as<float>(), inputs,
                                 metrics_.as<StepMetrics>());
  executor_.backward(batch, [&](std::size_t node) { reducer_.node_done(node, weight); });
}

/// The sums that the others make, with nothing of ours in them.
void TrainingStep::enqueue_nothing() {
  backend_.fill_zero(model_.gradients().data(), model_.gradients().size_bytes());
  reducer_.start_statistics(0);
  reducer_.node_done(0, 0);
}

void TrainingStep::run(int batch, const StepInputs& inputs) {
  const Slice slice = slice_of(batch, communicator_.rank(), communicator_.world());
  StepInputs own = inputs;
  own.first_sample += slice.first;
  backend_.upload(inputs_.data(), &own, sizeof(own));
  const auto count = static_cast<int>(slice.count);
  if (count == 0) backend_.fill_zero(metrics_.as<StepMetrics>() + inputs.metrics_slot, sizeof(StepMetrics));
  std::unique_ptr<CapturedWork>& work = captured_[{count, batch}];
  if (work == nullptr) {
    const float weight = static_cast<float>(count) / static_cast<float>(batch);
    work = backend_.capture([this, count, weight] { enqueue(count, weight); });
  }
  work->replay();
  ++model_.batches_tracked;
}

std::vector<StepMetrics> TrainingStep::metrics(std::int64_t first_slot, std::int64_t count,
                                               const Milestone* milestone) const {
  std::vector<StepMetrics> metrics(static_cast<std::size_t>(count));
  const StepMetrics* stored = metrics_.as<StepMetrics>() + first_slot;
  const std::size_t size_bytes = metrics.size() * sizeof(StepMetrics);
  if (milestone == nullptr)
    backend_.download(metrics.data(), stored, size_bytes);
  else
    backend_.download_after(*milestone, metrics.data(), stored, size_bytes);
  sum_over_ranks(communicator_, metrics);
  return metrics;
}

}  // namespace bsq
