// Networks whose weights and activations are quantized: what their convolutions compute is integer arithmetic, in every
// precision and on every backend (METHOD 9).
#include "engine/network/layers/conv2d.h"
#include "tests/support/engine.h"
#include "tests/support/integer_convolution.h"
#include "tests/support/read_tensor.h"

#include <cmath>

namespace bsq::test {
namespace {

constexpr int kBatch = 4;

Weights mixed_widths(const ArenaLayout& layout) {
  std::vector<int> bits;
  for (std::size_t i = 0; i < layout.slots.size(); ++i) bits.push_back(static_cast<int>(8 - i % 6));
  return StoredPlanes::convert(initial_weights(layout, 1), bits);
}

/// A network after a forward pass of random pictures.
struct QuantizedNetwork {
  QuantizedNetwork(Backend& used_backend, DType dtype, int act_bits, const TestModel::MakeWeights& weights)
      : backend(used_backend),
        test(backend, make_resnet(tiny_resnet(Activation::relu6, act_bits)), weights, dtype),
        executor(test.memory, test.model.network(), test.model.parameters(), kBatch, dtype, ExecutionMode::training) {
    const TensorView images = executor.images(kBatch);
    upload(images, RandomTensors("images").normal(images.shape.numel(), 0, 1));
    executor.forward(kBatch);
  }

  /// Of a random gradient of the logits; tensors are gone afterwards.
  void backward() {
    const TensorView d_logits = executor.d_logits(kBatch);
    upload(d_logits, RandomTensors("d_logits").normal(d_logits.shape.numel(), 0, 1));
    executor.backward(kBatch);
  }

  void upload(const TensorView& view, const std::vector<float>& values) {
    if (view.dtype == DType::f32) return backend.upload(view.data, values.data(), view.size_bytes());
    std::vector<bfloat16> rounded(values.size());
    std::ranges::transform(values, rounded.begin(), to_bfloat16);
    backend.upload(view.data, rounded.data(), view.size_bytes());
  }
  /// With respect to the weight itself.
  std::vector<double> gradient(std::size_t parameter) {
    const TensorView& value = test.model.parameters().values[parameter];
    const double unit = read_unit(backend, value.unit);
    const auto count = static_cast<std::size_t>(value.shape.numel());
    std::vector<double> result;
    for (const float stored : download_array(backend, test.model.parameters().gradients[parameter], count))
      result.push_back(stored / unit);
    return result;
  }

  Backend& backend;
  TestModel test;
  Executor executor;
};

bool are_integers(const std::vector<float>& values, float lowest, float highest) {
  return std::ranges::all_of(
      values, [&](float value) { return value == std::nearbyint(value) && value >= lowest && value <= highest; });
}

}  // namespace

TEST_CASE("the forward pass of a quantized layer is integer arithmetic, bit for bit") {
  for_each_device([](Backend& backend) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const int act_bits : {2, 4, 8}) {
        INFO(name_of(dtype) << ", " << act_bits << " bits");
        QuantizedNetwork run(backend, dtype, act_bits, mixed_widths);
        const Weights host = run.test.model.weights();
        const auto& planes = planes_of(host);
        int layers = 0;
        std::size_t slot = 0;
        for (std::size_t i = 0; i < run.test.model.network().nodes().size(); ++i) {
          const Node& node = run.test.model.network().nodes()[i];
          const auto* conv = dynamic_cast<const Conv2d*>(node.layer.get());
          if (conv == nullptr) continue;
          const TensorView& filters = run.test.model.parameters().values[static_cast<std::size_t>(conv->weight())];
          if (filters.unit.weight == nullptr) continue;  // a shortcut's: float
          const BitPlanes& stored = planes[slot++];
          const TensorView x = run.executor.tensor(node.inputs[0], kBatch);
          if (x.unit.activation == nullptr) continue;  // the pictures, or the stem's output
          INFO(node.name);
          ++layers;
          const std::vector<float> levels = read_stored(backend, x);
          const std::vector<float> weights = read_stored(backend, filters);
          const auto top = static_cast<float>((1 << stored.bits) - 1);
          CHECK(are_integers(levels, 0, static_cast<float>((1 << act_bits) - 1)));
          CHECK(are_integers(weights, -top, top));
          CHECK(read_unit(backend, filters.unit) == stored.scale / top);
          const TensorView y = run.executor.tensor(static_cast<TensorId>(i) + 1, kBatch);
          CHECK(read_stored(backend, y) == integer_convolution(conv->geometry(x.shape, dtype), levels, weights));
          CHECK(y.unit.activation == x.unit.activation);
          CHECK(y.unit.weight == filters.unit.weight);
        }
        CHECK(layers == 5);  // of six 3x3 convolutions in blocks, the first sees the unquantized stem
      }
    }
  });
}

TEST_CASE("a network of integers has the gradients of one of the values they stand for") {
  const auto values = [](const ArenaLayout& layout) { return StoredDense::convert(mixed_widths(layout)); };
  for_each_device([&](Backend& backend) {
    for (const int act_bits : {0, 4}) {
      // A dozen operations deep; and where activations are quantized, one may be rounded to another level.
      const double tolerance = act_bits == 0 ? 10 * relative_tolerance(DType::f32) : 0.03;
      QuantizedNetwork with_values(backend, DType::f32, act_bits, values);
      QuantizedNetwork with_integers(backend, DType::f32, act_bits, mixed_widths);
      CHECK(norm_relative_error(to_doubles(read_stored(backend, with_integers.executor.logits(kBatch))),
                                to_doubles(read_stored(backend, with_values.executor.logits(kBatch)))) < tolerance);
      with_values.backward();
      with_integers.backward();
      const auto& parameters = with_values.test.model.network().parameters();
      for (std::size_t p = 0; p < parameters.size(); ++p) {
        INFO(parameters[p].name << ", " << act_bits << " bits");
        CHECK(norm_relative_error(with_integers.gradient(p), with_values.gradient(p)) < tolerance);
      }
    }
  });
}

}  // namespace bsq::test
