// What a stage may ask of its steps, on several ranks: see steps_test.cpp.
#include "engine/ranks/ranks.h"
#include "tests/ranks/launch.h"
#include "tests/ranks/training.h"

namespace bsq::test {
namespace {

// The gradients of the small network are longer than this.
constexpr StepOptions kEveryOption{
    .nesterov = true, .label_smoothing = 0.1F, .clip_norm = 0.1F, .teacher_weight = 0.5F, .averages = true};

/// What clip_grad_norm_ multiplies the gradients of weights by; `gradients` are those of what is stored.
double clip_factor(Training& training, const std::vector<double>& gradients, double max_norm) {
  double squares = 0;
  const ParameterMemory& parameters = training.test.model.parameters();
  for (std::size_t i = 0; i < parameters.gradients.size(); ++i) {
    const auto first = static_cast<std::size_t>(parameters.gradients[i] - training.test.model.gradients().as<float>());
    const float* place = parameters.values[i].unit.weight;
    const double unit = place == nullptr ? 1 : double{download_array(*training.backend, place, 1)[0]};
    for (std::size_t at = first; at < first + static_cast<std::size_t>(parameters.values[i].shape.numel()); ++at)
      squares += std::pow(gradients[at] / unit, 2);
  }
  return std::min(1.0, max_norm / (std::sqrt(squares) + 1e-6));
}

}  // namespace

TEST_CASE("worker: clipped gradients", "[.worker]") {
  Ranks ranks;
  Communicator& communicator = *ranks.communicator;
  for (const int batch : {kBatch, 1}) {
    INFO("batch of " << batch << ", rank " << communicator.rank());
    Training together(communicator, {}, false, small_resnet(), {.clip_norm = kEveryOption.clip_norm});
    together.step.run(batch, {.learning_rate = 0});
    std::vector<double> expected = expected_of(batch, communicator.world()).gradients;
    const double factor = clip_factor(together, expected, double{kEveryOption.clip_norm});
    CHECK(factor < 0.5);  // else it would show nothing
    for (double& gradient : expected) gradient *= factor;
    check_close(together.gradients(), expected, relative_tolerance(DType::f32));
    check_all_have(communicator, together.gradients());
  }
}

TEST_CASE("worker: a teacher", "[.worker]") {
  Ranks ranks;
  Communicator& communicator = *ranks.communicator;
  constexpr StepOptions kTaught{.teacher_weight = 0.75F};
  for (const int batch : {kBatch, 1}) {
    INFO("batch of " << batch << ", rank " << communicator.rank());
    Training together(communicator, {}, false, small_resnet(), kTaught);
    together.step.run(batch, {.learning_rate = 0});
    const Expected expected = expected_of(batch, communicator.world(), kTaught);
    CHECK(expected.gradients != expected_of(batch, communicator.world()).gradients);  // the teacher is heard
    check_close(together.gradients(), expected.gradients, relative_tolerance(DType::f32));
    check_all_have(communicator, together.gradients());
    CHECK(together.step.metrics(0, 1)[0].loss_sum == Approx(expected.loss_sum).epsilon(1e-6));
  }
}

TEST_CASE("worker: every option of a step", "[.worker]") {
  Ranks ranks;
  Communicator& communicator = *ranks.communicator;
  Training training(communicator, {}, false, small_resnet(), kEveryOption);
  training.train();
  check_same_on_ranks(communicator, training.state(), "after the test");
  Training again(communicator, {}, false, small_resnet(), kEveryOption);
  again.train();
  CHECK(different_tensors(training.state(), again.state()).empty());

  Training synchronised(communicator, {}, true, small_resnet(), kEveryOption);
  Training single(alone(), {}, false, small_resnet(), kEveryOption);
  synchronised.step.run(kBatch, {.learning_rate = 0});
  single.step.run(kBatch, {.learning_rate = 0});
  check_close(synchronised.gradients(), to_doubles(single.gradients()), kSynchronisedTolerance);
}

TEST_CASE("clipped gradients are those of the whole batch, clipped") {
  BSQ_NEEDS_RANKS();
  check_on_ranks(GENERATE(1, 3), "worker: clipped gradients");
}

TEST_CASE("of a teacher each rank takes what it says to the images of its slice") {
  BSQ_NEEDS_RANKS();
  check_on_ranks(GENERATE(1, 3), "worker: a teacher");
}

TEST_CASE("with every option of a step all ranks hold the same bits, and synchronised ones agree with one process") {
  BSQ_NEEDS_RANKS();
  check_on_ranks(GENERATE(1, 3), "worker: every option of a step");
}

}  // namespace bsq::test
