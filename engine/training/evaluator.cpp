// Evaluation: forward passes in inference mode, counts summed on the host.
#include "engine/training/evaluator.h"

#include <algorithm>
#include <numeric>

namespace bsq {

Evaluator::Evaluator(DeviceMemory& memory, Model& model, BatchSource& source, const InputOptions& input, int batch_size,
                     Communicator& communicator)
    : backend_(memory.backend()),
      model_(model),
      source_(source),
      input_(plain_input(input)),
      batches_{source.size(), static_cast<int>(std::min<std::int64_t>(batch_size, source.size()))},
      communicator_(communicator),
      executor_(memory, model.network(), model.parameters(), batches_.batch_size, model.dtype(),
                ExecutionMode::inference, batches_.sizes()),
      labels_(memory.allocate_array<std::int32_t>("labels, evaluation", static_cast<std::size_t>(batches_.batch_size))),
      own_(slice_of(batches_.count(), communicator.rank(), communicator.world())),
      feed_(memory, "evaluation", own_.count),
      metrics_(memory.allocate_array<StepMetrics>("metrics, evaluation", static_cast<std::size_t>(batches_.count()))) {
  std::vector<StepInputs> steps;
  for (std::int64_t i = own_.first; i < own_.first + own_.count; ++i)
    steps.push_back({.first_sample = batches_.first_sample(i), .metrics_slot = i});
  feed_.fill(steps);
}

void Evaluator::enqueue(int batch, ActScale act_scale) {
  feed_.enqueue_take();
  const StepInputs* inputs = feed_.inputs();
  backend_.augment({input_, source_.rows(), inputs, batch, executor_.images(batch), labels_.as<std::int32_t>()});
  executor_.forward(batch, {.act_scale = act_scale});
  const TensorView logits = executor_.logits(batch);
  backend_.softmax_cross_entropy({batch, static_cast<int>(logits.shape[1]), logits.as<float>(),
                                  labels_.as<std::int32_t>(), nullptr, inputs, metrics_.as<StepMetrics>()});
}

EvalResult Evaluator::run(ActScale act_scale) {
  const Range range(backend_, "evaluation");
  std::vector<std::int32_t> order(static_cast<std::size_t>(source_.size()));
  std::iota(order.begin(), order.end(), 0);
  source_.begin_epoch(order);
  std::vector<BatchRange> own;
  for (std::int64_t i = own_.first; i < own_.first + own_.count; ++i)
    own.push_back({batches_.first_sample(i), batches_.size(i)});
  source_.expect(own);
  feed_.rewind();
  for (std::int64_t i = own_.first; i < own_.first + own_.count; ++i) {
    const int batch = batches_.size(i);
    feed_.count_replay();
    source_.stage(batches_.first_sample(i), batch);
    std::unique_ptr<CapturedWork>& work = captured_[{batch, act_scale}];
    if (work == nullptr) work = backend_.capture([this, batch, act_scale] { enqueue(batch, act_scale); });
    work->replay();
  }
  EvalResult result;
  std::vector<StepMetrics> all =
      download_array(backend_, metrics_.as<StepMetrics>(), static_cast<std::size_t>(batches_.count()));
  sum_over_ranks(communicator_, all);  // every batch has been visited by one rank, and left zeros on the others
  for (const StepMetrics& metrics : all) {
    result.loss_sum += metrics.loss_sum;
    result.top1 += metrics.top1;
    result.top5 += metrics.top5;
    result.samples += metrics.samples;
  }
  return result;
}

}  // namespace bsq
