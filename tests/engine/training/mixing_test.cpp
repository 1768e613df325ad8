// Steps on images that are mixed with each other, and whole runs of such steps.
#include "tests/engine/training/experiment_support.h"

#include "engine/input/batch_mix.h"
#include "engine/input/sampler.h"

#include <numeric>
#include <set>

namespace bsq::test {
namespace {

constexpr int kMixedPictures = 20;
constexpr int kMixedBatch = 8;
constexpr BatchMix kBlend{.weight = 0.7F};
constexpr BatchMix kBox{.weight = 0.8F, .cuts = 1, .top = 1, .left = 2, .height = 3, .width = 2};

AugmentRule rule_of_mixing() {
  AugmentRule rule = plain_input(tiny_input());
  rule.crop_padding = 1;
  rule.random_flip = true;
  rule.seed = 3;
  return rule;
}

struct MixedModel {
  explicit MixedModel(Backend& backend)
      : test(backend, make_resnet(tiny_resnet(Activation::relu6, 4)), {}),
        source(test.memory, tiny_pictures("mixing", kMixedPictures), "training") {
    std::vector<std::int32_t> order(kMixedPictures);
    std::iota(order.begin(), order.end(), 0);
    source.begin_epoch(order);
  }
  std::vector<float> gradients(Backend& backend) {
    const Buffer& buffer = test.model.gradients();
    return download_array(backend, buffer.as<float>(), buffer.size_bytes() / sizeof(float));
  }

  TestModel test;
  ResidentSource source;
};

/// The gradients and the loss of one step, operation by operation.
StepMetrics mixed_by_hand(Backend& backend, MixedModel& model, const BatchMix& mix) {
  DeviceMemory& memory = model.test.memory;
  Executor executor(memory, model.test.model.network(), model.test.model.parameters(), kMixedBatch, DType::f32,
                    ExecutionMode::training, {kMixedBatch});
  Buffer labels = memory.allocate_array<std::int32_t>("labels", kMixedBatch);
  Buffer inputs = memory.allocate_array<StepInputs>("inputs", 1);
  Buffer metrics = memory.allocate_array<StepMetrics>("metrics", 1);
  upload_array(backend, inputs.as<StepInputs>(), std::vector<StepInputs>{{.mix = mix}});
  const auto* step = inputs.as<StepInputs>();
  backend.augment({rule_of_mixing(), model.source.rows(), step, kMixedBatch, executor.images(kMixedBatch),
                   labels.as<std::int32_t>()});
  backend.mix_images({step, kMixedBatch, executor.images(kMixedBatch)});
  executor.forward(kMixedBatch);
  backend.softmax_cross_entropy({kMixedBatch, 3, executor.logits(kMixedBatch).as<float>(), labels.as<std::int32_t>(),
                                 executor.d_logits(kMixedBatch).as<float>(), step, metrics.as<StepMetrics>(), 0.1F,
                                 Distillation{}, true});
  executor.backward(kMixedBatch);
  return download_array(backend, metrics.as<StepMetrics>(), 1)[0];
}

Config mixed_config(double mixup, double cutmix) {
  Config config = tiny_config();
  config.data.mixup = mixup;
  config.data.cutmix = cutmix;
  return config;
}

std::map<std::string, std::string> traces_of_mixed(const Config& config) {
  ExperimentRuns runs(config);
  REQUIRE(runs.run() == StageOutcome::done);
  return traces_of(runs);
}

}  // namespace

TEST_CASE("a step that mixes learns from mixed images and labels, as its inputs say") {
  for_each_device([](Backend& backend) {
    std::vector<std::vector<float>> all;
    for (const BatchMix& mix : {BatchMix{}, kBlend, kBox}) {
      MixedModel by_hand(backend), model(backend);
      const StepMetrics expected = mixed_by_hand(backend, by_hand, mix);
      TrainingStep step(model.test.memory, model.test.model, model.source,
                        {.augment = rule_of_mixing(),
                         .label_smoothing = 0.1F,
                         .mixes = true,
                         .batch_size = kMixedBatch,
                         .metrics_slots = 1},
                        alone());
      step.run(kMixedBatch, {.learning_rate = 0, .mix = mix});
      CHECK(same_bits(model.gradients(backend), by_hand.gradients(backend)));
      CHECK(step.metrics(0, 1)[0].loss_sum == expected.loss_sum);
      CHECK(step.metrics(0, 1)[0].top1 == expected.top1);
      all.push_back(model.gradients(backend));
    }
    CHECK_FALSE(same_bits(all[0], all[1]));
    CHECK_FALSE(same_bits(all[0], all[2]));
    CHECK_FALSE(same_bits(all[1], all[2]));
  });
}

TEST_CASE("runs with mixup, CutMix and both are runs of their own, which go on to the same bits if they are stopped") {
  const auto plain = traces_of_mixed(tiny_config());
  std::set<std::string> models = {plain.at("pretrain/model.safetensors")};
  for (const auto& [mixup, cutmix] : {std::pair{0.2, 0.0}, {0.0, 1.0}, {0.8, 1.0}}) {
    INFO("mixup " << mixup << ", cutmix " << cutmix);
    const Config config = mixed_config(mixup, cutmix);
    const auto expected = traces_of_mixed(config);
    CHECK(models.insert(expected.at("pretrain/model.safetensors")).second);
    for (const int stop : {2, 8, 17}) check_stopped_and_resumed(config, stop, expected);
    check_killed_and_resumed(config, 5, expected);
  }
}

}  // namespace bsq::test
