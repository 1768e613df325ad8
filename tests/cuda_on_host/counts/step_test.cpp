// What the own kernels of training, evaluation and finetuning cost on a device, whatever its speed: how many there are
// in a step, and how many wavefronts their accesses to shared memory take.
#include "engine/training/training_step.h"
#include "tests/cuda_on_host/counts/access_counter.h"
#include "tests/cuda_on_host/host_math.h"
#include "tests/support/engine.h"

#include <fmt/core.h>

#include <numeric>

namespace bsq::test {
namespace {

using cuda_on_host::CountedKernel;
using cuda_on_host::Counts;

constexpr double kMostRatio = 1.15;  // of wavefronts to the least there could be
constexpr int kMostNodes = 119;      // of a BSQ step of ResNet-20
constexpr int kBatch = 16;
constexpr std::array<float, 4> kMethod{5e-3F};  // alpha

void print(const std::string& title, const Counts& counts) {
  fmt::print("{}: {} kernels and {} other nodes in the graph\n", title, counts.kernel_nodes(), counts.other_nodes);
  fmt::print("  {:44} {:>8} {:>10} {:>10} {:>6}\n", "kernel", "launches", "wavefronts", "least", "ratio");
  for (const CountedKernel& kernel : counts.kernels)
    fmt::print("  {:44} {:8} {:10} {:10} {:6.2f}\n", kernel.name, kernel.launches, kernel.wavefronts.taken,
               kernel.wavefronts.least, kernel.wavefronts.ratio());
}

/// Where a kernel takes more wavefronts than it must.
std::string places(const CountedKernel& kernel) {
  std::string text = "the instructions that waste most: addr2line -Cfie bsq_cuda_on_host_counts";
  for (const cuda_on_host::CountedPlace& place : kernel.places)
    if (place.wavefronts.taken > place.wavefronts.least) text += fmt::format(" {:#x}", place.offset);
  return text;
}

void check_wavefronts(const std::string& title, const Counts& counts) {
  print(title, counts);
  CHECK_FALSE(counts.kernels.empty());
  for (const CountedKernel& kernel : counts.kernels) {
    INFO(title << ", " << kernel.name << ": " << kernel.wavefronts.taken << " wavefronts, least "
               << kernel.wavefronts.least << "; " << places(kernel));
    CHECK(kernel.wavefronts.ratio() <= kMostRatio);
    CHECK(kernel.early_accesses == 0);
  }
}

/// A network, pictures for two batches, and a device to train it on.
struct Subject {
  Subject(const ResNetOptions& network, const TestModel::MakeWeights& weights, DType dtype)
      : backend(make_cuda_backend_on_host()),
        test_model(*backend, make_resnet(network), weights, dtype),
        input(tiny_input()),
        source(test_model.memory, tiny_pictures("counts", 2 * kBatch, network.image_height), "training") {
    input.height = network.image_height;
    input.width = network.image_width;
    std::vector<std::int32_t> order(2 * kBatch);
    std::iota(order.begin(), order.end(), 0);
    source.begin_epoch(order);
  }

  /// Of the replay of a captured step.
  Counts count_step() {
    AugmentRule augment = plain_input(input);
    augment.crop_padding = 4;
    augment.random_flip = true;
    TrainingStep step(test_model.memory, test_model.model, source,
                      {.augment = augment, .rule = {}, .batch_size = kBatch, .metrics_slots = 1}, alone());
    step.run(kBatch, {.learning_rate = 0.1F, .method = kMethod});
    return cuda_on_host::count(
        [&] { step.run(kBatch, {.learning_rate = 0.1F, .first_sample = kBatch, .method = kMethod}); });
  }
  Counts count_evaluation() {
    Evaluator evaluator(test_model.memory, test_model.model, source, input, kBatch, alone());
    return cuda_on_host::count([&] { evaluator.run(); });
  }

  std::unique_ptr<Backend> backend;
  TestModel test_model;
  InputOptions input;
  ResidentSource source;
};

const ResNetOptions kResNet20{.act_bits = 4};  // otherwise as it comes: configs/cifar10_resnet20.yaml

TEST_CASE("a captured BSQ step of ResNet-20 in bf16 has few kernels, and none that waits for banks") {
  Subject subject(kResNet20, start_as_planes(), DType::bf16);
  const Counts counts = subject.count_step();
  check_wavefronts("BSQ step of ResNet-20, bf16", counts);
  CHECK(counts.kernel_nodes() + counts.other_nodes <= kMostNodes);  // the vendor's convolutions count as one each
  for (const CountedKernel& kernel : counts.kernels) {
    INFO(kernel.name);
    CHECK(kernel.launches == kernel.nodes);  // nothing is launched beside the graph
  }
  CHECK(counts.other_nodes <= 10);  // convolutions that are left to the vendor
}

TEST_CASE("no kernel of an evaluation of ResNet-20 waits for banks") {
  Subject subject(kResNet20, start_as_planes(), DType::bf16);
  check_wavefronts("evaluation of ResNet-20, bf16", subject.count_evaluation());
}

TEST_CASE("no kernel of a finetuning step of ResNet-20 waits for banks") {
  Subject subject(kResNet20, start_as_fixed(6), DType::bf16);
  check_wavefronts("finetuning step of ResNet-20, bf16", subject.count_step());
}

TEST_CASE("no kernel waits for banks with other channels, activations and types") {
  struct Row {
    int width;
    Activation activation;
    int act_bits;
    DType dtype;
  };
  for (const auto& [width, activation, act_bits, dtype] :
       {Row{3, Activation::pact, 4, DType::bf16}, Row{10, Activation::relu6, 0, DType::bf16},
        Row{24, Activation::pact, 4, DType::bf16}, Row{16, Activation::relu6, 4, DType::f32},
        Row{10, Activation::pact, 4, DType::f32}, Row{24, Activation::relu6, 0, DType::f32}}) {
    ResNetOptions network = tiny_resnet(activation, act_bits);
    network.width = width;
    Subject subject(network, start_as_planes(), dtype);
    const std::string title = fmt::format("ResNet-8 of {} channels, {}, {} bits, {}", width,
                                          activation == Activation::pact ? "pact" : "relu6", act_bits, name_of(dtype));
    check_wavefronts("step of " + title, subject.count_step());
    check_wavefronts("evaluation of " + title, subject.count_evaluation());
  }
}

}  // namespace
}  // namespace bsq::test
