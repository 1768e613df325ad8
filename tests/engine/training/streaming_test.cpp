// A source that reads images ahead gives the bits of one that holds them all: in training with crop and flip, over two
// epochs in orders of their own, in evaluation and in calibration.
#include "engine/input/sampler.h"
#include "engine/input/streaming_source.h"
#include "engine/training/calibrator.h"
#include "tests/support/engine.h"

namespace bsq::test {
namespace {

constexpr int kPictures = 23;
constexpr int kBatch = 4;
constexpr int kTestPictures = 17;
constexpr int kTestBatch = 3;
constexpr int kEpochs = 2;
constexpr std::uint64_t kSeed = 9;
constexpr SgdRule kRule{.momentum = 0.9F, .weight_decay = 1e-3F};

AugmentRule augmentation() {
  AugmentRule rule = plain_input(tiny_input());
  rule.crop_padding = 2;
  rule.random_flip = true;
  rule.seed = kSeed;
  rule.stream = augment_stream(0);
  return rule;
}

struct Trained {
  std::vector<HostTensor> state;  // weights, statistics, activation scales and momentum
  std::vector<StepMetrics> steps;
  EvalResult batch_max, calibrated;
};

/// What comes of sources that `make_source(memory, images, batch)` gives, one for each reader.
template <typename MakeSource>
Trained train(Backend& backend, const MakeSource& make_source) {
  const ImageSet pictures = tiny_pictures("streamed", kPictures), unseen = tiny_pictures("unseen", kTestPictures);
  ResNetOptions network = tiny_resnet(Activation::relu6, 3);
  network.static_act_scales = true;
  TestModel test(backend, make_resnet(network), start_as_planes(6));
  const auto train_source = make_source(test.memory, pictures, kBatch);
  const auto test_source = make_source(test.memory, unseen, kTestBatch);
  const auto calibration_source = make_source(test.memory, pictures, kTestBatch);
  const Batches batches{kPictures, kBatch};
  TrainingStep step(
      test.memory, test.model, *train_source,
      {.augment = augmentation(), .rule = kRule, .batch_size = kBatch, .metrics_slots = kEpochs * batches.count()},
      alone());
  Evaluator evaluator(test.memory, test.model, *test_source, tiny_input(), kTestBatch, alone());
  Calibrator calibrator(test.memory, test.model, *calibration_source,
                        {.input = tiny_input(), .batch_size = kTestBatch, .batches = 6, .seed = kSeed}, alone());

  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    train_source->begin_epoch(epoch_order(kPictures, {kSeed, 0, epoch}));
    std::vector<PlannedStep> planned;
    for (std::int64_t i = 0; i < batches.count(); ++i)
      planned.push_back({batches.size(i),
                         {.learning_rate = 0.05F,
                          .epoch = epoch,
                          .first_sample = batches.first_sample(i),
                          .metrics_slot = epoch * batches.count() + i}});
    step.plan(planned);
    for (std::int64_t i = 0; i < batches.count(); ++i) {
      step.run();
      if (i == 2) calibrator.run();  // others read on in the middle of an epoch
      if (i == 3) evaluator.run();
    }
  }
  Trained trained{.state = {}, .steps = step.metrics(0, kEpochs * batches.count()), .batch_max = {}, .calibrated = {}};
  trained.batch_max = evaluator.run();
  calibrator.run();
  trained.calibrated = evaluator.run(ActScale::calibrated);
  trained.state = test.model.save().tensors;
  for (HostTensor& tensor : test.model.save_momentum().tensors) trained.state.push_back(std::move(tensor));
  return trained;
}

template <typename T>
bool same_bytes(const T& a, const T& b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

bool same_result(const EvalResult& a, const EvalResult& b) {
  return same_bytes(a.loss_sum, b.loss_sum) && a.top1 == b.top1 && a.top5 == b.top5 && a.samples == b.samples;
}

}  // namespace

TEST_CASE("a source that streams gives the bits of the resident one, however many threads read how far ahead") {
  const auto [threads, ahead] = GENERATE(std::pair(1, 1), std::pair(3, 4), std::pair(2, 50));
  INFO(threads << " threads, " << ahead << " batches ahead");
  for_each_device([&, threads = threads, ahead = ahead](Backend& backend) {
    const Trained resident = train(backend, [](DeviceMemory& memory, const Dataset& images, int) {
      return std::make_unique<ResidentSource>(memory, images, "resident");
    });
    const Trained streamed = train(backend, [&](DeviceMemory& memory, const Dataset& images, int batch) {
      return std::make_unique<StreamingSource>(
          memory, images, "streamed", StreamOptions{.batch = batch, .batches_ahead = ahead, .threads = threads});
    });
    CHECK(different_tensors(resident.state, streamed.state).empty());
    REQUIRE(resident.steps.size() == streamed.steps.size());
    std::int64_t samples = 0;
    for (std::size_t i = 0; i < resident.steps.size(); ++i) {
      INFO("step " << i);
      CHECK(same_bytes(resident.steps[i].loss_sum, streamed.steps[i].loss_sum));
      CHECK(resident.steps[i].top1 == streamed.steps[i].top1);
      samples += streamed.steps[i].samples;
    }
    CHECK(samples == kEpochs * kPictures);
    CHECK(same_result(resident.batch_max, streamed.batch_max));
    CHECK(same_result(resident.calibrated, streamed.calibrated));
    CHECK(streamed.batch_max.samples == kTestPictures);
    CHECK_FALSE(same_bytes(streamed.batch_max.loss_sum, streamed.calibrated.loss_sum));
  });
}

}  // namespace bsq::test
