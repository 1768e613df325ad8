// Steps of a network with dropout: recorded as by hand, keyed by stage, epoch and sample, and not by where samples
// come.
#include "engine/input/streaming_source.h"
#include "engine/input/sampler.h"
#include "engine/training/training_step.h"
#include "tests/engine/network/dense_network.h"

#include <numeric>

namespace bsq::test {
namespace {

constexpr int kSamples = 23;  // of which a ring of 4 batches of 4 holds 16
constexpr int kStepBatch = 4;
constexpr std::uint64_t kStepSeed = 11;
constexpr SgdRule kStepRule{.momentum = 0.9F, .weight_decay = 1e-3F};

AugmentRule crop_rule() {
  InputOptions input = tiny_input();
  input.height = input.width = 6;
  AugmentRule rule = plain_input(input);
  rule.seed = kStepSeed;
  rule.stream = augment_stream(0);
  return rule;
}

TrainingOptions step_options(int stage = 0) {
  return {.augment = crop_rule(),
          .rule = kStepRule,
          .batch_size = kStepBatch,
          .metrics_slots = 20,
          .dropout_stream = dropout_stream(stage)};
}

Network dropping_network() {
  return build_network(dense_block_with_dropout(), {.activation = Activation::relu6, .act_bits = 4});
}

std::vector<StepInputs> steps_of(int epochs, float learning_rate) {
  std::vector<StepInputs> steps;
  for (std::int32_t epoch = 0; epoch < epochs; ++epoch)
    for (std::int64_t first = 0; first < kSamples; first += kStepBatch)
      steps.push_back({.learning_rate = learning_rate,
                       .epoch = epoch,
                       .first_sample = first,
                       .metrics_slot = static_cast<std::int64_t>(steps.size()),
                       .method = {0.05F}});
  return steps;
}

int batch_of(const StepInputs& step) {
  return static_cast<int>(std::min<std::int64_t>(kStepBatch, kSamples - step.first_sample));
}

std::vector<double> losses_of(const std::vector<StepMetrics>& metrics) {
  std::vector<double> losses;
  for (const StepMetrics& of_step : metrics) losses.push_back(of_step.loss_sum);
  return losses;
}

struct Outcome {
  std::vector<double> losses;
  std::vector<HostTensor> state;
};

template <typename MakeSource>
Outcome train_recorded(Backend& backend, const MakeSource& make_source, const TrainingOptions& options, int epochs,
                       float learning_rate) {
  TestModel test(backend, dropping_network(), start_as_planes(6));
  const ImageSet pictures = tiny_pictures("dropped", kSamples, 6);
  const auto source = make_source(test.memory, pictures, kStepBatch);
  TrainingStep step(test.memory, test.model, *source, options, alone());
  const std::vector<StepInputs> steps = steps_of(epochs, learning_rate);
  for (const StepInputs& next : steps) {
    if (next.first_sample == 0) source->begin_epoch(epoch_order(kSamples, {kStepSeed, 0, 0}));
    step.run(batch_of(next), next);
  }
  return {losses_of(step.metrics(0, static_cast<std::int64_t>(steps.size()))), test.model.save().tensors};
}

std::unique_ptr<BatchSource> resident(DeviceMemory& memory, const ImageSet& images, int) {
  return std::make_unique<ResidentSource>(memory, images, "dropped");
}

Outcome train_by_hand(Backend& backend) {
  TestModel test(backend, dropping_network(), start_as_planes(6));
  const auto source = resident(test.memory, tiny_pictures("dropped", kSamples, 6), kStepBatch);
  Executor executor(test.memory, test.model.network(), test.model.parameters(), kStepBatch, DType::f32,
                    ExecutionMode::training, {kStepBatch, kSamples % kStepBatch});
  const Buffer labels = test.memory.allocate_array<std::int32_t>("labels", kStepBatch);
  const Buffer inputs = test.memory.allocate_array<StepInputs>("inputs", 1);
  const Buffer metrics = test.memory.allocate_array<StepMetrics>("metrics", 20);
  source->begin_epoch(epoch_order(kSamples, {kStepSeed, 0, 0}));
  const std::vector<StepInputs> steps = steps_of(2, 0.05F);
  const auto* step = inputs.as<StepInputs>();
  const SampleKeys keys{kStepSeed, dropout_stream(0), step, source->rows().samples};
  for (const StepInputs& next : steps) {
    const int batch = batch_of(next);
    backend.upload(inputs.data(), &next, sizeof(next));
    backend.augment({crop_rule(), source->rows(), step, batch, executor.images(batch), labels.as<std::int32_t>()});
    executor.forward(batch, {.keys = keys});
    backend.softmax_cross_entropy({batch, 3, executor.logits(batch).as<float>(), labels.as<std::int32_t>(),
                                   executor.d_logits(batch).as<float>(), step, metrics.as<StepMetrics>()});
    executor.backward(batch, {}, nullptr, keys);
    test.model.step(kStepRule, step, metrics.as<StepMetrics>());
    ++test.model.batches_tracked;
  }
  return {losses_of(download_array(backend, metrics.as<StepMetrics>(), steps.size())), test.model.save().tensors};
}

}  // namespace

TEST_CASE("a recorded step of a network with dropout gives the bits of its operations called one by one") {
  for_each_device([](Backend& backend) {
    const Outcome recorded = train_recorded(backend, resident, step_options(), 2, 0.05F);
    const Outcome by_hand = train_by_hand(backend);
    CHECK(recorded.losses == by_hand.losses);
    CHECK(different_tensors(recorded.state, by_hand.state).empty());
  });
}

TEST_CASE("what is dropped changes by epoch and stage, and a source that streams drops what the resident one drops") {
  for_each_device([](Backend& backend) {
    constexpr auto epoch = static_cast<std::ptrdiff_t>((kSamples + kStepBatch - 1) / kStepBatch);
    const std::vector<double> still = train_recorded(backend, resident, step_options(), 2, 0).losses;
    const std::vector<double> first(still.begin(), still.begin() + epoch), second(still.begin() + epoch, still.end());
    CHECK(first != second);  // in the same order, of the same weights
    CHECK(train_recorded(backend, resident, step_options(1), 1, 0).losses != first);
    CHECK(train_recorded(backend, resident, step_options(), 1, 0).losses == first);
    const Outcome streamed = train_recorded(
        backend,
        [](DeviceMemory& memory, const ImageSet& images, int batch) {
          return std::make_unique<StreamingSource>(memory, images, "streamed",
                                                   StreamOptions{.batch = batch, .threads = 2});
        },
        step_options(), 2, 0.05F);
    const Outcome whole = train_recorded(backend, resident, step_options(), 2, 0.05F);
    CHECK(streamed.losses == whole.losses);
    CHECK(different_tensors(streamed.state, whole.state).empty());
  });
}

}  // namespace bsq::test
