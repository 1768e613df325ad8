// What tests of training on ranks share: a small network in bit planes that ranks train together, and what a single
// process comes to.
#pragma once

#include "engine/input/sampler.h"
#include "engine/ranks/ranks.h"
#include "engine/training/training_step.h"
#include "tests/engine/network/dense_network.h"
#include "tests/support/backends.h"
#include "tests/support/engine.h"

#include <numeric>

namespace bsq::test {

inline constexpr int kPictures = 24;
inline constexpr int kBatch = 10;
// Of the largest gradient: sums in another order, through the layers of a small network.
inline constexpr double kSynchronisedTolerance = 1e-4;
inline constexpr SgdRule kRule{.momentum = 0.9F, .weight_decay = 1e-3F};

/// A rank among its equals; it says goodbye only where all has gone well, since the others must not wait for it.
struct Ranks {
  std::unique_ptr<Communicator> communicator = make_communicator();
  ~Ranks() {
    if (std::uncaught_exceptions() == 0) communicator->finish();
  }
};

inline AugmentRule augmentation() {
  AugmentRule rule = plain_input(tiny_input());
  rule.crop_padding = 1;
  rule.random_flip = true;
  rule.seed = 3;
  return rule;
}

/// A step is planned for batches of one size and a remainder; here any batch is run.
inline void plan_every_batch(Backend& backend, const Network& network) {
  std::vector<ConvRequest> requests;
  for (int batch = 1; batch <= kBatch; ++batch) {
    const std::vector<TensorSpec> tensors = network.tensors(batch, DType::f32);
    for (const Node& node : network.nodes())
      if (const auto request = node.layer->convolution(network.inputs_of(node, tensors), {}))
        requests.push_back(*request);
  }
  backend.plan_convolutions(requests);
}

inline Network small_resnet() {
  return make_resnet(tiny_resnet(Activation::pact, 2));
}

/// It joins images, and drops some of their numbers.
inline Network dropping_network() {
  NetworkSpec spec = dense_block_with_dropout();
  spec.image = {8, 8, 3};
  return build_network(spec, {.activation = Activation::pact, .act_bits = 2});
}

/// Beside the rule of kRule.
struct StepOptions {
  bool nesterov = false;
  float label_smoothing = 0;
  float clip_norm = 0;
  float teacher_weight = 0;  // 0: no teacher
  bool averages = false;
};

/// A small network in bit planes, its pictures, and steps on them.
struct Training {
  explicit Training(Communicator& ranks, std::vector<std::int32_t> order = {}, bool synchronised = false,
                    Network network = small_resnet(), const StepOptions& options = {})
      : backend(make_backend(tests_gpu() ? "cuda" : "cpu", {.threads = 1, .local_rank = ranks.local_rank()})),
        connected(ranks.world() > 1 ? backend->connect(ranks) : nullptr),
        test(*backend, std::move(network), start_as_planes(6)),
        source(test.memory, tiny_pictures("train", kPictures), "training"),
        average(test.memory, test.model, 0.9),
        teacher(test.memory, "teacher", make_resnet(tiny_teacher()), DType::f32, teacher_file(*backend)),
        step(test.memory, test.model, source,
             {.augment = augmentation(),
              .rule = {kRule.momentum, kRule.weight_decay, options.nesterov},
              .label_smoothing = options.label_smoothing,
              .clip_norm = options.clip_norm,
              .batch_size = kBatch,
              .metrics_slots = 64,
              .dropout_stream = dropout_stream(0),
              .synchronised_norms = synchronised,
              .teacher = options.teacher_weight > 0 ? &teacher : nullptr,
              .teacher_weight = options.teacher_weight,
              .temperature = 2,
              .average = options.averages ? &average : nullptr},
             connected ? *connected : ranks) {
    if (order.empty()) {
      order.resize(kPictures);
      std::iota(order.begin(), order.end(), 0);
    }
    source.begin_epoch(order);
    plan_every_batch(*backend, test.model.network());
    if (options.teacher_weight > 0) plan_every_batch(*backend, teacher.network());
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
    for (HostTensor& tensor : test.model.save(download(*backend, average.on_device())).tensors) {
      tensor.name += ".average";
      tensors.push_back(std::move(tensor));
    }
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
    average.restart();
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
  WeightAverage average;
  FrozenNetwork teacher;
  TrainingStep step;
};

inline void check_all_have(Communicator& ranks, const std::vector<float>& values) {
  const std::vector<float> all = gather(ranks, std::span<const float>(values));
  for (std::size_t i = 0; i < all.size(); i += values.size())
    CHECK(std::memcmp(all.data() + i, values.data(), values.size() * sizeof(float)) == 0);
}

inline void check_close(const std::vector<float>& actual, const std::vector<double>& expected, double relative) {
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

inline Expected expected_of(int batch, int world, const StepOptions& options = {}) {
  Expected expected;
  for (int rank = 0; rank < world; ++rank) {
    const Slice slice = slice_of(batch, rank, world);
    if (slice.count == 0) continue;
    Training part(alone(), {}, false, small_resnet(), options);
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

}  // namespace bsq::test
