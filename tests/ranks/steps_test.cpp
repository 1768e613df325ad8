// Training steps and evaluations on several ranks against those of a single process. A test starts mpirun with this
// program; the hidden tests below are what its ranks do.
#include "engine/input/sampler.h"
#include "engine/ranks/ranks.h"
#include "engine/training/evaluator.h"
#include "engine/training/training_step.h"
#include "kernels/base/error.h"
#include "tests/engine/network/dense_network.h"
#include "tests/ranks/launch.h"
#include "tests/support/backends.h"
#include "tests/support/engine.h"

#include <numeric>

namespace bsq::test {
namespace {

constexpr int kPictures = 24;
constexpr int kBatch = 10;
// Of the largest gradient: sums in another order, through the layers of a small network.
constexpr double kSynchronisedTolerance = 1e-4;
constexpr SgdRule kRule{.momentum = 0.9F, .weight_decay = 1e-3F};

/// A rank among its equals; it says goodbye only where all has gone well, since the others must not wait for it.
struct Ranks {
  std::unique_ptr<Communicator> communicator = make_communicator();
  ~Ranks() {
    if (std::uncaught_exceptions() == 0) communicator->finish();
  }
};

AugmentRule augmentation() {
  AugmentRule rule = plain_input(tiny_input());
  rule.crop_padding = 1;
  rule.random_flip = true;
  rule.seed = 3;
  return rule;
}

/// A step is planned for batches of one size and a remainder; here any batch is run.
void plan_every_batch(Backend& backend, const Network& network) {
  std::vector<ConvRequest> requests;
  for (int batch = 1; batch <= kBatch; ++batch) {
    const std::vector<TensorSpec> tensors = network.tensors(batch, DType::f32);
    for (const Node& node : network.nodes())
      if (const auto request = node.layer->convolution(network.inputs_of(node, tensors), {}))
        requests.push_back(*request);
  }
  backend.plan_convolutions(requests);
}

Network small_resnet() {
  return make_resnet(tiny_resnet(Activation::pact, 2));
}

/// It joins images, and drops some of their numbers.
Network dropping_network() {
  NetworkSpec spec = dense_block_with_dropout();
  spec.image = {8, 8, 3};
  return build_network(spec, {.activation = Activation::pact, .act_bits = 2});
}

/// A small network in bit planes, its pictures, and steps on them.
struct Training {
  explicit Training(Communicator& ranks, std::vector<std::int32_t> order = {}, bool synchronised = false,
                    Network network = small_resnet())
      : backend(make_backend(tests_gpu() ? "cuda" : "cpu", {.threads = 1, .local_rank = ranks.local_rank()})),
        connected(ranks.world() > 1 ? backend->connect(ranks) : nullptr),
        test(*backend, std::move(network), start_as_planes(6)),
        source(test.memory, tiny_pictures("train", kPictures), "training"),
        step(test.memory, test.model, source,
             {.augment = augmentation(),
              .rule = kRule,
              .batch_size = kBatch,
              .metrics_slots = 64,
              .dropout_stream = dropout_stream(0),
              .synchronised_norms = synchronised},
             connected ? *connected : ranks) {
    if (order.empty()) {
      order.resize(kPictures);
      std::iota(order.begin(), order.end(), 0);
    }
    source.begin_epoch(order);
    plan_every_batch(*backend, test.model.network());
  }

  std::vector<float> gradients() {
    const Buffer& buffer = test.model.gradients();
    return download_array(*backend, buffer.as<float>(), buffer.size_bytes() / sizeof(float));
  }
  std::vector<float> statistics() {
    const Buffer& buffer = test.model.states();
    return download_array(*backend, buffer.as<float>(), buffer.size_bytes() / sizeof(float));
  }
  std::vector<HostTensor> state() {
    std::vector<HostTensor> tensors = test.model.save().tensors;
    for (HostTensor& tensor : test.model.save_momentum().tensors) tensors.push_back(std::move(tensor));
    return tensors;
  }
  /// Twenty steps, a last smaller one among each five, then a re-quantization, then three more.
  void train() {
    for (int i = 0; i < 20; ++i) take_step(i);
    std::vector<BitPlanes> planes = plane_store(test.model).planes();
    for (BitPlanes& tensor : planes) {
      requantize(tensor, 8);
      adjust_precision(tensor, 20);
    }
    plane_store(test.model).set_planes(planes);
    test.model.reset_momentum();
    step.recapture();
    for (int i = 20; i < 23; ++i) take_step(i);
  }
  void take_step(int i) {
    const bool is_last = i % 5 == 4;
    step.run(is_last ? 3 : kBatch,
             {.learning_rate = 0.05F, .epoch = i / 5, .first_sample = i % 2, .metrics_slot = i, .method = {0.01F}});
  }

  std::unique_ptr<Backend> backend;
  std::unique_ptr<Communicator> connected;
  TestModel test;
  ResidentSource source;
  TrainingStep step;
};

void check_all_have(Communicator& ranks, const std::vector<float>& values) {
  const std::vector<float> all = gather(ranks, std::span<const float>(values));
  for (std::size_t i = 0; i < all.size(); i += values.size())
    CHECK(std::memcmp(all.data() + i, values.data(), values.size() * sizeof(float)) == 0);
}

void check_close(const std::vector<float>& actual, const std::vector<double>& expected, double relative) {
  const Comparison comparison = compare_scaled(to_doubles(actual), expected, relative);
  INFO(comparison.report());
  CHECK(comparison.count > 0);
  CHECK(comparison.ok());
}

/// What the ranks should come to, from what a single process finds on each of their slices.
struct Expected {
  std::vector<double> gradients;
  std::vector<double> statistics;
  double loss_sum = 0;
  std::int64_t top1 = 0;
};

Expected expected_of(int batch, int world) {
  Expected expected;
  for (int rank = 0; rank < world; ++rank) {
    const Slice slice = slice_of(batch, rank, world);
    if (slice.count == 0) continue;
    Training part(alone());
    part.step.run(static_cast<int>(slice.count), {.learning_rate = 0, .first_sample = slice.first});
    const double weight = static_cast<double>(slice.count) / batch;
    const std::vector<float> gradients = part.gradients();
    const std::vector<float> statistics = part.statistics();
    expected.gradients.resize(gradients.size());
    expected.statistics.resize(statistics.size());
    for (std::size_t i = 0; i < gradients.size(); ++i) expected.gradients[i] += weight * gradients[i];
    for (std::size_t i = 0; i < statistics.size(); ++i) expected.statistics[i] += weight * statistics[i];
    const StepMetrics metrics = part.step.metrics(0, 1).front();
    expected.loss_sum += metrics.loss_sum;
    expected.top1 += metrics.top1;
  }
  return expected;
}

}  // namespace

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
