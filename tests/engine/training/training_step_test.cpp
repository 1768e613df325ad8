// One training step as it is recorded and replayed: the same bits as its operations called by hand, metrics in their
// slots, smaller batches, and new tables after a re-quantization.
#include "engine/training/training_step.h"

#include "tests/support/engine.h"
#include "tests/support/files.h"

#include <numeric>

namespace bsq::test {
namespace {

constexpr int kPictures = 10;
constexpr int kBatch = 4;
constexpr SgdRule kRule{.momentum = 0.9F, .weight_decay = 1e-3F};
constexpr std::array<float, 4> kMethod{0.05F};  // alpha

AugmentRule augmentation() {
  AugmentRule rule = plain_input(tiny_input());
  rule.crop_padding = 2;
  rule.random_flip = true;
  rule.seed = 5;
  rule.stream = 3;
  return rule;
}

/// Model, pictures and step inputs; `TrainingStep` is the test's business.
struct Setup {
  Setup(Backend& backend_to_use, const TestModel::MakeWeights& weights)
      : backend(backend_to_use),
        test_model(backend, make_resnet(tiny_resnet(Activation::pact, 3)), weights),
        source(test_model.memory, tiny_pictures("training step", kPictures), "training") {
    std::vector<std::int32_t> order(kPictures);
    std::iota(order.rbegin(), order.rend(), 0);
    source.begin_epoch(order);
  }
  TrainingStep make_step(int batch_size = kBatch) {
    const TrainingOptions options{
        .augment = augmentation(), .rule = kRule, .batch_size = batch_size, .metrics_slots = 5};
    return {test_model.memory, test_model.model, source, options, alone()};
  }
  /// Weights, statistics and momentum.
  std::vector<HostTensor> state() {
    std::vector<HostTensor> tensors = test_model.model.save().tensors;
    for (HostTensor& tensor : test_model.model.save_momentum().tensors) tensors.push_back(std::move(tensor));
    return tensors;
  }

  Backend& backend;
  TestModel test_model;
  ResidentSource source;
};

struct StepOfEpoch {
  int batch;
  StepInputs inputs;
};

/// Two batches of 4 and the 2 pictures that are left, in two epochs.
std::vector<StepOfEpoch> two_epochs() {
  std::vector<StepOfEpoch> steps;
  for (std::int32_t epoch = 0; epoch < 2; ++epoch) {
    for (const std::int64_t slot : {0, 1, 2}) {
      const int batch = slot < 2 ? kBatch : 2;
      steps.push_back({batch,
                       {.learning_rate = 0.05F,
                        .epoch = epoch,
                        .first_sample = slot * kBatch,
                        .metrics_slot = slot,
                        .method = kMethod}});
    }
  }
  return steps;
}

/// The operations of a step, called one by one.
class StepByHand {
 public:
  explicit StepByHand(Setup& setup)
      : setup_(setup),
        memory_(setup.test_model.memory),
        executor_(memory_, setup.test_model.model.network(), setup.test_model.model.parameters(), kBatch, DType::f32,
                  ExecutionMode::training),
        labels_(memory_.allocate_array<std::int32_t>("labels", kBatch)),
        inputs_(memory_.allocate_array<StepInputs>("inputs", 1)),
        metrics_(memory_.allocate_array<StepMetrics>("metrics", 5)) {}

  void run(const StepOfEpoch& step) {
    Backend& backend = setup_.backend;
    Model& model = setup_.test_model.model;
    backend.upload(inputs_.data(), &step.inputs, sizeof(step.inputs));
    const auto* inputs = inputs_.as<StepInputs>();
    backend.augment({augmentation(), setup_.source.samples(), inputs, step.batch, executor_.images(step.batch),
                     labels_.as<std::int32_t>()});
    executor_.forward(step.batch);
    backend.softmax_cross_entropy({step.batch, 3, executor_.logits(step.batch).as<float>(), labels_.as<std::int32_t>(),
                                   executor_.d_logits(step.batch).as<float>(), inputs, metrics_.as<StepMetrics>()});
    executor_.backward(step.batch);
    model.step(kRule, inputs, metrics_.as<StepMetrics>());
    ++model.batches_tracked;
  }
  std::vector<StepMetrics> metrics() { return download_array(setup_.backend, metrics_.as<StepMetrics>(), 5); }

 private:
  Setup& setup_;
  DeviceMemory& memory_;
  Executor executor_;
  Buffer labels_, inputs_, metrics_;
};

void check_same(const StepMetrics& a, const StepMetrics& b) {
  CHECK(a.loss_sum == b.loss_sum);
  CHECK(a.penalty == b.penalty);
  CHECK(a.top1 == b.top1);
  CHECK(a.top5 == b.top5);
  CHECK(a.samples == b.samples);
}

std::vector<std::pair<std::string, TestModel::MakeWeights>> all_forms() {
  return {{"float", {}}, {"planes", start_as_planes(6)}, {"fixed", start_as_fixed(5)}};
}

}  // namespace

TEST_CASE("a recorded step gives the bits of its operations called one by one, in every form of the weights") {
  for_each_device([](Backend& backend) {
    for (const auto& [form, weights] : all_forms()) {
      INFO(form);
      Setup recorded(backend, weights);
      Setup by_hand(backend, weights);
      TrainingStep step = recorded.make_step();
      StepByHand operations(by_hand);
      const std::vector<HostTensor> before = recorded.state();
      for (const StepOfEpoch& next : two_epochs()) {
        step.run(next.batch, next.inputs);
        operations.run(next);
      }
      CHECK(different_tensors(recorded.state(), by_hand.state()).empty());
      for (std::size_t slot = 0; slot < 5; ++slot) check_same(step.metrics(0, 5)[slot], operations.metrics()[slot]);

      // Every parameter and statistic has moved.
      const std::vector<std::string> moved = different_tensors(before, recorded.state());
      for (const HostTensor& tensor : before) {
        INFO(tensor.name);
        if (tensor.name.ends_with("alpha"))
          continue;  // no activation has reached its ceiling of 10: weight decay alone
        CHECK(std::count(moved.begin(), moved.end(), tensor.name) == 2);
      }
    }
  });
}

TEST_CASE("steps that are planned together are the same ones, planned anew in the middle as well") {
  for_each_device([](Backend& backend) {
    Setup one_by_one(backend, start_as_planes(6));
    Setup planned(backend, start_as_planes(6));
    TrainingStep single = one_by_one.make_step();
    TrainingStep step = planned.make_step();
    const std::vector<StepOfEpoch> steps = two_epochs();
    for (const StepOfEpoch& next : steps) single.run(next.batch, next.inputs);

    const auto plan = [&](std::size_t first, std::size_t end) {
      std::vector<PlannedStep> part;
      for (std::size_t i = first; i < end; ++i) part.push_back({steps[i].batch, steps[i].inputs});
      step.plan(std::move(part));
    };
    plan(0, 3);  // the smaller batch among them
    step.run();
    step.run();
    plan(2, 6);
    for (int i = 2; i < 6; ++i) step.run();
    CHECK(different_tensors(one_by_one.state(), planned.state()).empty());
    for (std::size_t slot = 0; slot < 3; ++slot) check_same(step.metrics(0, 3)[slot], single.metrics(0, 3)[slot]);

    const std::string no_more = error_of(ErrorKind::internal, [&] { step.run(); });
    CHECK_THAT(no_more, Catch::Contains("a step without inputs: all 4 have been taken"));
    const std::string too_many = error_of(ErrorKind::internal, [&] {
      step.plan(std::vector<PlannedStep>(6, {1, {}}));
    });
    CHECK_THAT(too_many, Catch::Contains("inputs of 6 steps where 5 were planned"));
  });
}

TEST_CASE("metrics land in the slot of their step and leave the others alone") {
  const auto oracle = make_reference_backend();
  Setup setup(*oracle, start_as_planes());
  TrainingStep step = setup.make_step();
  step.run(kBatch, {.learning_rate = 0.1F, .metrics_slot = 3, .method = kMethod});
  step.run(2, {.learning_rate = 0.1F, .first_sample = 8, .metrics_slot = 1, .method = kMethod});
  const std::vector<StepMetrics> metrics = step.metrics(0, 5);
  for (const std::size_t slot : {0, 2, 4}) check_same(metrics[slot], {});
  CHECK(metrics[3].samples == kBatch);
  CHECK(metrics[1].samples == 2);
  CHECK(metrics[3].loss_sum > 0);
  CHECK(metrics[3].top1 <= metrics[3].top5);
  CHECK(metrics[3].top5 == kBatch);  // of three classes
  CHECK(metrics[3].penalty > 1);
  CHECK(metrics[1].penalty > 1);
  CHECK(metrics[1].penalty != metrics[3].penalty);  // the planes have moved
  CHECK(step.metrics(3, 1).size() == 1);
  check_same(step.metrics(3, 1)[0], metrics[3]);
  CHECK(setup.test_model.model.batches_tracked == 2);
}

TEST_CASE("a smaller last batch is the step that a trainer of that batch size would take") {
  for_each_device([](Backend& backend) {
    Setup large(backend, start_as_planes());
    Setup small(backend, start_as_planes());
    TrainingStep large_step = large.make_step(4);
    TrainingStep small_step = small.make_step(3);
    const StepInputs inputs{.learning_rate = 0.1F, .first_sample = 7, .method = kMethod};
    large_step.run(3, inputs);
    small_step.run(3, inputs);
    CHECK(different_tensors(large.state(), small.state()).empty());
    check_same(large_step.metrics(0, 1)[0], small_step.metrics(0, 1)[0]);
  });
}

TEST_CASE("a step of learning rate 0 moves statistics and momentum, and no weight") {
  const auto oracle = make_reference_backend();
  Setup setup(*oracle, {});
  const std::vector<HostTensor> before = setup.test_model.model.save().tensors;
  setup.make_step().run(kBatch, {.learning_rate = 0});
  for (const std::string& name : different_tensors(before, setup.test_model.model.save().tensors)) {
    INFO(name);
    CHECK((name.find("running_") != std::string::npos || name.ends_with("num_batches_tracked")));
  }
}

TEST_CASE("after a re-quantization and a recapture training goes on as from a model made of those planes") {
  for_each_device([](Backend& backend) {
    Setup setup(backend, start_as_planes(6));
    TrainingStep step = setup.make_step();
    for (const StepOfEpoch& next : two_epochs()) step.run(next.batch, next.inputs);

    // Grow, shrink and keep: every width changes its place in the tables.
    Model& model = setup.test_model.model;
    std::vector<BitPlanes> planes = plane_store(model).planes();
    for (std::size_t i = 0; i < planes.size(); ++i) {
      if (i % 3 == 0) planes[i].p[0] = 2.0F;  // may need one more bit
      requantize(planes[i], 8);
      adjust_precision(planes[i], i % 3 == 1 ? 30.0 : 0.0);
    }
    plane_store(model).set_planes(planes);
    model.reset_momentum();
    step.recapture();

    Setup fresh(backend, [&](const ArenaLayout&) { return as_weights(planes); });
    fresh.test_model.model.load_plain(model.save());
    CHECK(different_tensors(fresh.state(), setup.state()).empty());
    TrainingStep fresh_step = fresh.make_step();
    for (const StepOfEpoch& next : two_epochs()) {
      step.run(next.batch, next.inputs);
      fresh_step.run(next.batch, next.inputs);
    }
    CHECK(different_tensors(fresh.state(), setup.state()).empty());
    for (std::size_t slot = 0; slot < 3; ++slot) check_same(step.metrics(0, 3)[slot], fresh_step.metrics(0, 3)[slot]);
  });
}

TEST_CASE("training on a few pictures learns them by heart, in every form of the weights") {
  for_each_device([](Backend& backend) {
    for (const auto& [form, weights] : all_forms()) {
      INFO(form);
      Setup setup(backend, weights);
      TrainingStep step = setup.make_step(kPictures);
      for (int i = 0; i < 40; ++i)
        step.run(kPictures, {.learning_rate = 0.05F, .epoch = 0, .metrics_slot = i == 0 ? 0 : 1, .method = kMethod});
      const std::vector<StepMetrics> metrics = step.metrics(0, 2);
      CHECK(metrics[1].loss_sum < 0.5 * metrics[0].loss_sum);
      CHECK(metrics[1].top1 >= 8);
    }
  });
}

}  // namespace bsq::test
