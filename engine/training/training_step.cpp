// What a step enqueues, in order.
#include "engine/training/training_step.h"

#include "engine/input/batches.h"
#include "kernels/rank_slice.h"
#include "engine/ranks/ranks.h"

#include <algorithm>

namespace bsq {
namespace {

int largest_slice(int batch_size, const Communicator& communicator) {
  return static_cast<int>(slice_of(batch_size, 0, communicator.world()).count);
}

/// How many samples of a full batch this rank runs, and how many of the last one; 0 is left out.
std::vector<int> own_slices(std::int64_t samples, const TrainingOptions& options, const Communicator& communicator) {
  std::vector<int> counts;
  for (const int batch : Batches{samples, options.batch_size}.sizes()) {
    const std::int64_t count = slice_of(batch, communicator.rank(), communicator.world()).count;
    const bool joins_with_nothing = options.synchronised_norms && count == 0;
    if (count > 0 || joins_with_nothing) counts.push_back(std::max(static_cast<int>(count), 1));
  }
  return counts;
}

/// The teacher lives in the memory of the model that learns.
std::unique_ptr<Executor> make_teacher(DeviceMemory& memory, const TrainingOptions& options, DType dtype,
                                       std::int64_t samples, const Communicator& communicator) {
  if (options.teacher == nullptr) return nullptr;
  return std::make_unique<Executor>(memory, options.teacher->network(), options.teacher->parameters(),
                                    largest_slice(options.batch_size, communicator), dtype, ExecutionMode::guest,
                                    own_slices(samples, options, communicator));
}

}  // namespace

TrainingStep::TrainingStep(DeviceMemory& memory, Model& model, BatchSource& source, const TrainingOptions& options,
                           Communicator& communicator)
    : backend_(memory.backend()),
      model_(model),
      source_(source),
      augment_(options.augment),
      rule_(options.rule),
      label_smoothing_(options.label_smoothing),
      mixes_(options.mixes),
      distillation_{.weight = options.teacher_weight, .temperature = options.temperature},
      dropout_stream_(options.dropout_stream),
      synchronised_norms_(options.synchronised_norms && communicator.world() > 1),
      communicator_(communicator),
      teacher_(make_teacher(memory, options, model.dtype(), source.size(), communicator)),
      executor_(memory, model.network(), model.parameters(), largest_slice(options.batch_size, communicator),
                model.dtype(), ExecutionMode::training, own_slices(source.size(), options, communicator),
                teacher_.get()),
      reducer_(communicator, model),
      clipper_(memory, model, options.clip_norm),
      average_(options.average),
      labels_(memory.allocate_array<std::int32_t>("labels, training", static_cast<std::size_t>(executor_.max_batch()))),
      feed_(memory, "training", options.metrics_slots),
      metrics_(
          memory.allocate_array<StepMetrics>("metrics, training", static_cast<std::size_t>(options.metrics_slots))) {}

void TrainingStep::enqueue(int count, int batch) {
  feed_.enqueue_take();
  const StepInputs* inputs = feed_.inputs();
  const float weight = static_cast<float>(count) / static_cast<float>(batch);
  if (synchronised_norms_) {
    RankSlice slice(backend_, communicator_, count, batch);
    enqueue_samples(std::max(count, 1), weight, &slice);
  } else if (count > 0) {
    enqueue_samples(count, weight, nullptr);
  } else {
    enqueue_nothing();
  }
  {
    const Range range(backend_, "reductions");
    reducer_.finish();
  }
  clipper_.enqueue();
  const Range range(backend_, "weights step");
  model_.step(rule_, inputs, metrics_.as<StepMetrics>());
  if (average_ != nullptr) average_->enqueue();
}

void TrainingStep::enqueue_samples(int count, float weight, BatchSlice* slice) {
  const StepInputs* inputs = feed_.inputs();
  {
    const Range range(backend_, "augment");
    backend_.augment({augment_, source_.rows(), inputs, count, executor_.images(count), labels_.as<std::int32_t>()});
    if (mixes_) backend_.mix_images({inputs, count, executor_.images(count)});
  }
  if (teacher_ != nullptr) {
    const Range range(backend_, "teacher");
    teacher_->forward(count);  // before the model that learns, whose activations take its place
  }
  executor_.forward(count, {.slice = slice, .keys = keys()});
  reducer_.start_statistics(weight);
  enqueue_loss(count);
  executor_.backward(
      count, [&](std::size_t node) { reducer_.node_done(node, weight); }, slice, keys());
}

void TrainingStep::enqueue_loss(int count) {
  const Range range(backend_, "loss");
  const TensorView logits = executor_.logits(count);
  Distillation distillation = distillation_;
  if (teacher_ != nullptr) distillation.teacher_logits = teacher_->logits(count).as<float>();
  backend_.softmax_cross_entropy({count, static_cast<int>(logits.shape[1]), logits.as<float>(),
                                  labels_.as<std::int32_t>(), executor_.d_logits(count).as<float>(), feed_.inputs(),
                                  metrics_.as<StepMetrics>(), label_smoothing_, distillation, mixes_});
}

SampleKeys TrainingStep::keys() const {
  return {augment_.seed, dropout_stream_, feed_.inputs(), source_.rows().samples};
}

/// Takes part in the sums of the other ranks and adds nothing to them.
void TrainingStep::enqueue_nothing() {
  backend_.fill_zero(model_.gradients().data(), model_.gradients().size_bytes());
  reducer_.start_statistics(0);
  reducer_.node_done(0, 0);
}

void TrainingStep::plan(std::vector<PlannedStep> steps) {
  planned_ = std::move(steps);
  next_ = 0;
  std::vector<StepInputs> own;
  std::vector<BatchRange> staged;
  for (const auto& [batch, inputs] : planned_) {
    own.push_back(inputs);
    const BatchRange range = own_range(batch, inputs.first_sample);
    own.back().first_sample = range.first;
    if (range.count > 0) staged.push_back(range);
  }
  feed_.fill(own);
  source_.expect(staged);
}

BatchRange TrainingStep::own_range(int batch, std::int64_t first) const {
  const Slice slice = slice_of(batch, communicator_.rank(), communicator_.world());
  if (slice.count > 0) return {first + slice.first, static_cast<int>(slice.count)};
  return {first, synchronised_norms_ ? 1 : 0};
}

void TrainingStep::run() {
  const Range range(backend_, "step");
  feed_.count_replay();
  const auto& [batch, inputs] = planned_[next_++];
  const auto count = static_cast<int>(slice_of(batch, communicator_.rank(), communicator_.world()).count);
  if (const BatchRange own = own_range(batch, inputs.first_sample); own.count > 0) source_.stage(own.first, own.count);
  std::unique_ptr<CapturedWork>& work = captured_[{count, batch}];
  if (work == nullptr) work = backend_.capture([this, count, batch = batch] { enqueue(count, batch); });
  work->replay();
  if (count == 0) backend_.fill_zero(metrics_.as<StepMetrics>() + inputs.metrics_slot, sizeof(StepMetrics));
  ++model_.batches_tracked;
}

ReducedBytes TrainingStep::reduced_bytes() const {
  ReducedBytes bytes = reducer_.bytes_per_step();
  if (!synchronised_norms_) return bytes;
  for (const Node& node : model_.network().nodes())
    bytes.statistics += sizeof(float) * static_cast<std::size_t>(node.layer->exchanged_statistics());
  return bytes;
}

std::vector<StepMetrics> TrainingStep::metrics(std::int64_t first_slot, std::int64_t count,
                                               const Marker* marker) const {
  std::vector<StepMetrics> metrics(static_cast<std::size_t>(count));
  const StepMetrics* stored = metrics_.as<StepMetrics>() + first_slot;
  const std::size_t size_bytes = metrics.size() * sizeof(StepMetrics);
  if (marker == nullptr)
    backend_.download(metrics.data(), stored, size_bytes);
  else
    backend_.download_after(*marker, metrics.data(), stored, size_bytes);
  sum_over_ranks(communicator_, metrics);
  return metrics;
}

}  // namespace bsq
