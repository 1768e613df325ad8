// Evaluation against a plain loop: the same counts and loss from logits of batches cut by hand.
#include "engine/training/evaluator.h"

#include "tests/support/engine.h"

#include <map>
#include <numeric>

namespace bsq::test {
namespace {

/// Sums over the set in batches of `batch_size`, each through an executor of exactly its size.
EvalResult plain_loop(Backend& backend, Model& model, const ImageSet& set, int batch_size) {
  DeviceMemory memory(backend);
  ResidentSource source(memory, set, "by hand");
  std::vector<std::int32_t> order(set.labels.size());
  std::iota(order.begin(), order.end(), 0);
  source.begin_epoch(order);
  const Buffer inputs = memory.allocate_array<StepInputs>("inputs", 1);
  const Buffer labels = memory.allocate_array<std::int32_t>("labels", order.size());
  EvalResult result;
  for (std::int64_t first = 0; first < set.size(); first += batch_size) {
    const int batch = static_cast<int>(std::min<std::int64_t>(batch_size, set.size() - first));
    Executor executor(memory, model.network(), model.parameters(), batch, DType::f32, ExecutionMode::inference);
    const StepInputs step{.first_sample = first};
    backend.upload(inputs.data(), &step, sizeof(step));
    backend.augment({plain_input(tiny_input()), source.samples(), inputs.as<StepInputs>(), batch,
                     executor.images(batch), labels.as<std::int32_t>()});
    executor.forward(batch);
    const std::vector<float> logits = download_view(backend, executor.logits(batch));
    const std::size_t classes = logits.size() / static_cast<std::size_t>(batch);
    for (std::size_t row = 0; row < static_cast<std::size_t>(batch); ++row) {
      const float* z = logits.data() + row * classes;
      const auto label = static_cast<std::size_t>(set.labels[static_cast<std::size_t>(first) + row]);
      double sum = 0;
      int better = 0;
      for (std::size_t k = 0; k < classes; ++k) {
        sum += std::exp(double{z[k]});
        better += z[k] > z[label] || (z[k] == z[label] && k < label);
      }
      result.loss_sum += std::log(sum) - double{z[label]};
      result.top1 += better < 1;
      result.top5 += better < 5;
      ++result.samples;
    }
  }
  return result;
}

/// More classes than five, so that top-5 is a question.
ImageSet pictures_of_nine_classes(int count) {
  ImageSet set = tiny_pictures("evaluation", count);
  set.class_names = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
  for (std::size_t i = 0; i < set.labels.size(); ++i) set.labels[i] = static_cast<std::int32_t>(4 * i % 9);
  return set;
}

ResNetOptions nine_classes(int act_bits) {
  ResNetOptions options = tiny_resnet(Activation::relu6, act_bits);
  options.num_classes = 9;
  return options;
}

void check_same(const EvalResult& actual, const EvalResult& expected) {
  CHECK(actual.top1 == expected.top1);
  CHECK(actual.top5 == expected.top5);
  CHECK(actual.samples == expected.samples);
  CHECK(actual.loss_sum == Approx(expected.loss_sum).epsilon(1e-5));
}

}  // namespace

TEST_CASE("an evaluation counts as a plain loop over the logits does, with an uneven last batch") {
  for_each_device([](Backend& backend) {
    const ImageSet set = pictures_of_nine_classes(22);
    TestModel test(backend, make_resnet(nine_classes(0)), start_as_planes());
    ResidentSource source(test.memory, set, "test");
    for (const int batch_size : {1, 4, 11, 22, 100}) {
      INFO("batches of " << batch_size);
      Evaluator evaluator(test.memory, test.model, source, tiny_input(), batch_size, alone());
      const EvalResult result = evaluator.run();
      check_same(result, plain_loop(backend, test.model, set, batch_size));
      CHECK(result.samples == 22);
      CHECK(result.top1 < result.top5);
      CHECK(result.top5 < 22);
      CHECK(result.loss() == Approx(result.loss_sum / 22));
      CHECK(result.top1_percent() == Approx(100.0 * static_cast<double>(result.top1) / 22));
      CHECK(result.top5_percent() == Approx(100.0 * static_cast<double>(result.top5) / 22));
    }
  });
}

TEST_CASE("the scale of quantized activations is that of each batch, and so the batch size is part of the result") {
  const auto oracle = make_reference_backend();
  const ImageSet set = pictures_of_nine_classes(22);
  TestModel test(*oracle, make_resnet(nine_classes(3)), start_as_planes());
  ResidentSource source(test.memory, set, "test");
  std::map<int, double> losses;
  for (const int batch_size : {1, 4, 22}) {
    Evaluator evaluator(test.memory, test.model, source, tiny_input(), batch_size, alone());
    const EvalResult result = evaluator.run();
    check_same(result, plain_loop(*oracle, test.model, set, batch_size));
    losses[batch_size] = result.loss();
  }
  CHECK(losses[1] != Approx(losses[22]).epsilon(1e-4));
  CHECK(losses[4] != Approx(losses[22]).epsilon(1e-4));
}

TEST_CASE("an evaluation changes nothing, follows the weights, and sees the set in its own order") {
  for_each_device([](Backend& backend) {
    const ImageSet set = pictures_of_nine_classes(10);
    TestModel test(backend, make_resnet(nine_classes(4)), start_as_planes());
    ResidentSource source(test.memory, set, "test");
    Evaluator evaluator(test.memory, test.model, source, tiny_input(), 4, alone());
    const std::vector<HostTensor> before = test.model.save().tensors;
    const EvalResult first = evaluator.run();
    CHECK(different_tensors(before, test.model.save().tensors).empty());

    std::vector<std::int32_t> reversed(10);
    std::iota(reversed.rbegin(), reversed.rend(), 0);
    source.begin_epoch(reversed);
    const EvalResult second = evaluator.run();
    CHECK(second.loss_sum == first.loss_sum);
    CHECK(second.top1 == first.top1);

    std::vector<BitPlanes> planes = plane_store(test.model).planes();
    for (BitPlanes& tensor : planes) std::swap(tensor.p, tensor.n);
    plane_store(test.model).set_planes(planes);
    const EvalResult negated = evaluator.run();
    CHECK(negated.loss_sum != first.loss_sum);
    check_same(negated, plain_loop(backend, test.model, set, 4));
  });
}

}  // namespace bsq::test
