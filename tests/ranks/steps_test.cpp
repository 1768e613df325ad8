// Training steps and evaluations on several ranks against those of a single process. A test starts mpirun with this
// program; the hidden tests below are what its ranks do.
#include "engine/ranks/ranks.h"
#include "engine/training/evaluator.h"
#include "kernels/base/error.h"
#include "tests/ranks/launch.h"
#include "tests/ranks/training.h"

namespace bsq::test {

// ---- what the ranks do ----------------------------------------------------------------------------------------------

TEST_CASE("worker: reduced gradients", "[.worker]") {
  Ranks ranks;
  Communicator& communicator = *ranks.communicator;
  for (const int batch : {kBatch, 3, 1}) {
    INFO("batch of " << batch << ", rank " << communicator.rank());
    Training together(communicator);
    together.step.run(batch, {.learning_rate = 0});
    const StepMetrics metrics = together.step.metrics(0, 1).front();
    const Expected expected = expected_of(batch, communicator.world());
    check_close(together.gradients(), expected.gradients, relative_tolerance(DType::f32));
    check_close(together.statistics(), expected.statistics, relative_tolerance(DType::f32));
    check_all_have(communicator, together.gradients());
    check_all_have(communicator, together.statistics());
    CHECK(metrics.samples == batch);
    CHECK(metrics.loss_sum == expected.loss_sum);
    CHECK(metrics.top1 == expected.top1);

    const ReducedBytes bytes = together.step.reduced_bytes();
    CHECK(bytes.gradients == (communicator.world() == 1 ? 0 : together.test.model.gradients().size_bytes()));
    CHECK(bytes.statistics == (communicator.world() == 1 ? 0 : together.test.model.states().size_bytes()));
  }
}

TEST_CASE("worker: slices of the same pictures", "[.worker]") {
  // Every slice has the statistics of the whole batch then: batch norm by rank is that of the batch.
  Ranks ranks;
  Communicator& communicator = *ranks.communicator;
  std::vector<std::int32_t> order(kPictures);
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int32_t>(i % 2);
  constexpr int batch = 8;
  Training together(communicator, order);
  Training single(alone(), order);
  together.step.run(batch, {.learning_rate = 0});
  single.step.run(batch, {.learning_rate = 0});
  check_close(together.gradients(), to_doubles(single.gradients()), 12 * relative_tolerance(DType::f32));
}

/// Quantized activations included: their scale is that of the whole batch then.
void check_synchronised_statistics(Communicator& communicator, Network (*make_network)()) {
  for (const int batch : {kBatch, 3, 1}) {
    INFO("batch of " << batch << ", rank " << communicator.rank());
    Training together(communicator, {}, true, make_network());
    Training single(alone(), {}, false, make_network());
    together.step.run(batch, {.learning_rate = 0});
    single.step.run(batch, {.learning_rate = 0});
    check_close(together.gradients(), to_doubles(single.gradients()), kSynchronisedTolerance);
    check_close(together.statistics(), to_doubles(single.statistics()), relative_tolerance(DType::f32));
    check_all_have(communicator, together.gradients());
    check_all_have(communicator, together.statistics());
    const StepMetrics found = together.step.metrics(0, 1).front();
    const StepMetrics expected = single.step.metrics(0, 1).front();
    CHECK(found.samples == batch);
    CHECK(found.loss_sum == Approx(expected.loss_sum).epsilon(relative_tolerance(DType::f32)));
    CHECK(found.top1 == expected.top1);
    if (communicator.world() > 1)
      CHECK(together.step.reduced_bytes().statistics > together.test.model.states().size_bytes());
  }
}

TEST_CASE("worker: synchronised batch norm", "[.worker]") {
  Ranks ranks;
  check_synchronised_statistics(*ranks.communicator, small_resnet);
}

TEST_CASE("worker: synchronised batch norm and dropout", "[.worker]") {
  Ranks ranks;
  check_synchronised_statistics(*ranks.communicator, dropping_network);
}

TEST_CASE("worker: synchronised training", "[.worker]") {
  Ranks ranks;
  Communicator& communicator = *ranks.communicator;
  Training together(communicator, {}, true);
  together.train();
  check_same_on_ranks(communicator, together.state(), "after the test");
  Training again(communicator, {}, true);
  again.train();
  CHECK(different_tensors(together.state(), again.state()).empty());
}

TEST_CASE("worker: the same bits after training", "[.worker]") {
  Ranks ranks;
  Communicator& communicator = *ranks.communicator;
  Training training(communicator);
  const std::vector<HostTensor> before = training.state();
  training.train();
  check_same_on_ranks(communicator, training.state(), "after the test");
  CHECK(different_tensors(before, training.state()).size() > before.size() / 2);

  Training again(communicator);
  again.train();
  CHECK(different_tensors(training.state(), again.state()).empty());

  ResidentSource pictures(training.test.memory, tiny_pictures("test", 23), "test");
  Evaluator sharded(training.test.memory, training.test.model, pictures, tiny_input(), 4, communicator);
  Evaluator whole(training.test.memory, training.test.model, pictures, tiny_input(), 4, alone());
  const EvalResult found = sharded.run();
  const EvalResult expected = whole.run();
  CHECK(found.samples == 23);
  CHECK(found.top1 == expected.top1);
  CHECK(found.top5 == expected.top5);
  CHECK(found.loss_sum == expected.loss_sum);
}

TEST_CASE("worker: a difference", "[.worker]") {
  Ranks ranks;
  Communicator& communicator = *ranks.communicator;
  Training training(communicator);
  std::vector<HostTensor> tensors = training.state();
  const std::size_t victim = tensors.size() / 2;
  if (communicator.rank() == communicator.world() - 1) tensors[victim].bytes[1] ^= std::byte{1};
  try {
    check_same_on_ranks(communicator, tensors, "after a test");
    FAIL("nobody has seen it");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::device);
    CHECK_THAT(error.what(), Catch::StartsWith("rank " + std::to_string(communicator.world() - 1) +
                                               " and rank 0 do not hold the same bits after a test: " +
                                               tensors[victim].name + " differs; "));
  }
}

TEST_CASE("worker: host memory", "[.worker]") {
  Ranks ranks;
  Communicator& communicator = *ranks.communicator;
  const int rank = communicator.rank();
  const std::vector<int> own = {rank, 10 * rank};
  const std::vector<int> all = gather(communicator, std::span<const int>(own));
  REQUIRE(all.size() == 2 * static_cast<std::size_t>(communicator.world()));
  for (int other = 0; other < communicator.world(); ++other) {
    CHECK(all[2 * static_cast<std::size_t>(other)] == other);
    CHECK(all[2 * static_cast<std::size_t>(other) + 1] == 10 * other);
  }
  CHECK(broadcast_text(communicator, std::string(static_cast<std::size_t>(rank) + 1, 'a')) == "a");
  CHECK(communicator.local_rank() == rank);  // one machine
  communicator.barrier();
}

// ---- the tests ------------------------------------------------------------------------------------------------------

TEST_CASE("gradients and statistics are those of the whole batch, uneven and empty slices among them") {
  BSQ_NEEDS_RANKS();
  check_on_ranks(GENERATE(1, 2, 4), "worker: reduced gradients");
}

TEST_CASE("where all slices hold the same pictures the gradient is that of a single process") {
  BSQ_NEEDS_RANKS();
  check_on_ranks(GENERATE(2, 4), "worker: slices of the same pictures");
}

TEST_CASE("with synchronised statistics the gradient is that of a single process") {
  BSQ_NEEDS_RANKS();
  check_on_ranks(GENERATE(1, 2, 4), "worker: synchronised batch norm");
}

TEST_CASE("ranks drop what a single process drops") {
  BSQ_NEEDS_RANKS();
  check_on_ranks(GENERATE(2, 4), "worker: synchronised batch norm and dropout");
}

TEST_CASE("with synchronised statistics all ranks hold the same bits after twenty steps and a re-quantization") {
  BSQ_NEEDS_RANKS();
  check_on_ranks(GENERATE(2, 4), "worker: synchronised training");
}

TEST_CASE("after twenty steps and a re-quantization all ranks hold the same bits, and evaluate as one") {
  BSQ_NEEDS_RANKS();
  check_on_ranks(GENERATE(1, 2, 4), "worker: the same bits after training");
}

TEST_CASE("a bit that differs on one rank is an error on all, which names rank and tensor") {
  BSQ_NEEDS_RANKS();
  check_on_ranks(2, "worker: a difference");
}

TEST_CASE("ranks exchange what lies in host memory") {
  BSQ_NEEDS_RANKS();
  check_on_ranks(3, "worker: host memory");
}

}  // namespace bsq::test
