// Networks that pool: gradients against central differences, every backend against the oracle, levels through max_pool
// and flatten, and what is refused.
#include "tests/support/files.h"
#include "tests/support/guarding_backend.h"
#include "tests/support/network_run.h"
#include "tests/support/pooling_network.h"
#include "tests/support/read_tensor.h"

#include <numeric>

namespace bsq::test {
namespace {

/// Grey pixels 0.05 apart, in random order, with a little colour: whatever is added to a weight by a difference, the
/// largest number of every window stays where it is.
std::vector<float> images_without_ties(int batch) {
  constexpr std::size_t pixels = 64;
  RandomTensors random("pixels");
  std::vector<float> images;
  for (int image = 0; image < batch; ++image) {
    const std::vector<float> draw = random.uniform(pixels, 0, 1), colour = random.uniform(3 * pixels, -1, 1);
    std::vector<std::size_t> order(pixels);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {}, [&](std::size_t i) { return draw[i]; });
    for (std::size_t i = 0; i < 3 * pixels; ++i)
      images.push_back(0.05F * (static_cast<float>(order[i / 3]) - 31.5F) + 0.005F * colour[i]);
  }
  return images;
}

void run_training(NetworkRun& run) {
  run.images = images_without_ties(run.batch);
  run.forward();
  run.backward();
}

std::string refusal_of(const std::string& nodes) {
  const std::string text = R"({"image": [5, 8, 3], "nodes": [
    {"name": "conv", "layer": "conv2d", "out": 4, "quantized": true}, {"name": "norm", "layer": "norm_act"}, )" +
                           nodes + "]}";
  return error_of(ErrorKind::usage, [&] { build_network(spec_from_text(text)); });
}

}  // namespace

TEST_CASE("the gradient of every parameter of a network that pools is that of central differences") {
  const auto oracle = make_reference_backend();
  NetworkRun run(*oracle, build_network(pooling_spec()), 3);
  run.images = images_without_ties(3);
  check_gradients(run, 8);
}

TEST_CASE("every backend gives the oracle's logits and gradients for a network that pools") {
  const auto oracle = make_reference_backend();
  NetworkRun expected(*oracle, build_network(pooling_spec()), 3);
  run_training(expected);
  for (const auto& backend : other_backends()) {
    INFO(backend->name());
    GuardingBackend guarding(*backend);
    NetworkRun run(guarding, build_network(pooling_spec()), 3);
    run_training(run);
    CHECK(norm_relative_error(to_doubles(run.logits()), to_doubles(expected.logits())) < 1e-4);
    for (std::size_t p = 0; p < run.model.network().parameters().size(); ++p) {
      INFO(run.model.network().parameters()[p].name);
      CHECK(norm_relative_error(to_doubles(run.gradient(p)), to_doubles(expected.gradient(p))) < 1e-3);
    }
    NetworkRun inference(guarding, build_network(pooling_spec()), 3, ExecutionMode::inference);
    inference.forward();
    CHECK(guarding.guards_intact());
  }
}

TEST_CASE("max_pool hands levels on as they are, and flatten multiplies their unit") {
  for_each_device([](Backend& backend) {
    for (const DType dtype : activation_dtypes(backend)) {
      INFO(name_of(dtype));
      TestModel test(backend, build_network(level_pooling_spec(), {Activation::relu6, 4, false}), {}, dtype);
      Executor executor(test.memory, test.model.network(), test.model.parameters(), 2, dtype, ExecutionMode::tracing);
      const TensorView images = executor.images(2);
      const std::vector<float> pixels = RandomTensors("images").normal(images.shape.numel(), 0, 1);
      std::vector<bfloat16> rounded(pixels.size());
      std::ranges::transform(pixels, rounded.begin(), to_bfloat16);
      backend.upload(images.data, dtype == DType::bf16 ? static_cast<const void*>(rounded.data()) : pixels.data(),
                     images.size_bytes());
      executor.forward(2);
      const TensorView levels = executor.tensor(2, 2), pooled = executor.tensor(3, 2);
      CHECK(pooled.shape == Shape({2, 4, 4, 6}));
      CHECK(pooled.unit.activation == levels.unit.activation);
      const std::vector<float> before = read_stored(backend, levels), after = read_stored(backend, pooled);
      CHECK(*std::ranges::max_element(before) == 15);
      CHECK(*std::ranges::max_element(after) == 15);
      CHECK(std::ranges::all_of(after, [](float level) { return level == std::nearbyint(level); }));
      const TensorView last = executor.tensor(6, 2), flat = executor.tensor(7, 2);
      REQUIRE(last.shape == Shape({2, 2, 2, 5}));
      CHECK(flat.shape == Shape({2, 20}));
      CHECK(flat.unit.activation == nullptr);
      const std::vector<float> stored = read_stored(backend, last), values = read_stored(backend, flat);
      const auto unit = static_cast<float>(read_unit(backend, last.unit));
      for (std::size_t n = 0; n < 2; ++n)
        for (std::size_t pixel = 0; pixel < 4; ++pixel)
          for (std::size_t c = 0; c < 5; ++c)
            CHECK(values[(n * 5 + c) * 4 + pixel] == unit * stored[(n * 4 + pixel) * 5 + c]);
    }
  });
}

TEST_CASE("images that are too small for a window are refused with their size, and so is what cannot be pooled") {
  CHECK(refusal_of(R"({"name": "p", "layer": "max_pool", "kernel": 6})") ==
        "node 'p', key 'kernel': 6 is larger than the image of 5x8 it reads");
  CHECK(refusal_of(R"({"name": "p", "layer": "average_pool", "kernel": 6})") ==
        "node 'p', key 'kernel': 6 is larger than the image of 5x8 it reads");
  CHECK(refusal_of(R"({"name": "p", "layer": "max_pool"})") ==
        "node 'p', key 'kernel': is missing; it must be an integer in 1..16");
  CHECK(refusal_of(R"({"name": "p", "layer": "max_pool", "kernel": 3, "padding": 2})") ==
        "node 'p', key 'padding': must be an integer in 0..1");
  CHECK(refusal_of(R"({"name": "p", "layer": "average_pool", "kernel": 2, "out": 2})") ==
        "node 'p', key 'out': cannot be there beside 'kernel'; give one of them");
  CHECK(refusal_of(R"({"name": "p", "layer": "max_pool", "inputs": ["conv"], "kernel": 2})") ==
        "node 'p': reads the conv2d 'conv'; put a norm_act or a bias_act between them");
  CHECK(refusal_of(R"({"name": "v", "layer": "average_pool"}, {"name": "p", "layer": "flatten"})") ==
        "node 'p': 'v' is no image that flatten can read");
  CHECK(refusal_of(R"({"name": "p", "layer": "max_pool", "kernel": 2}, {"name": "fc", "layer": "linear", "out": 3})") ==
        "node 'fc': reads the image 'p'; put an average_pool or a flatten between");
}

}  // namespace bsq::test
