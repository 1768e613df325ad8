// Chains of concats: one buffer for the whole of a dense block, and the bits of a network where every tensor has its
// own.
#include "engine/network/executor.h"
#include "engine/network/tensor_owners.h"
#include "tests/engine/network/dense_network.h"
#include "tests/support/gradients.h"
#include "tests/support/guarding_backend.h"

#include <numeric>

namespace bsq::test {
namespace {

constexpr int kDenseBatch = 4;
constexpr std::int64_t kPixels = 36;

/// A network that has run; loss = sum of logits * d_logits.
struct JoinRun {
  JoinRun(Backend& used_backend, Network network, ExecutionMode mode = ExecutionMode::training,
          const TestModel::MakeWeights& weights = {})
      : backend(used_backend),
        test(backend, std::move(network), weights),
        executor(test.memory, test.model.network(), test.model.parameters(), kDenseBatch, DType::f32, mode, {3, 1}),
        inputs(test.memory.allocate_array<StepInputs>("inputs", 1)),
        samples(test.memory.allocate_array<std::int32_t>("samples", 2 * kDenseBatch)) {
    keep_away_from_kinks();
    images = RandomTensors("images").normal(executor.images(kDenseBatch).shape.numel(), 0, 1);
    d_logits = RandomTensors("d_logits").normal(executor.logits(kDenseBatch).shape.numel(), 0, 1);
    std::vector<std::int32_t> numbers(2 * kDenseBatch);
    std::iota(numbers.begin(), numbers.end(), 100);
    upload_array(backend, samples.as<std::int32_t>(), numbers);
    set_step({});
  }

  /// Every channel of a norm stays on its side of a ReLU.
  void keep_away_from_kinks() {
    const auto& parameters = test.model.network().parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (parameters[i].role != Role::norm_gamma && parameters[i].role != Role::norm_beta) continue;
      std::vector<float> values;
      for (std::int64_t c = 0; c < parameters[i].shape.numel(); ++c)
        values.push_back(parameters[i].role == Role::norm_gamma ? 0.2F + 0.01F * static_cast<float>(c % 5)
                         : c % 4 == 2                           ? -6.0F
                                                                : 1.2F + 0.1F * static_cast<float>(c % 4));
      upload_array(backend, test.model.parameters().values[i].as<float>(), values);
    }
  }
  void set_step(const StepInputs& step) { upload_array(backend, inputs.as<StepInputs>(), std::vector{step}); }
  SampleKeys keys() const { return {7, 5, inputs.as<StepInputs>(), samples.as<std::int32_t>()}; }
  void forward(int batch = kDenseBatch, std::int64_t first_image = 0) {
    const TensorView target = executor.images(batch);
    backend.upload(target.data, images.data() + first_image * kPixels * 3, target.size_bytes());
    executor.forward(batch, {.keys = keys()});
  }
  void backward(int batch = kDenseBatch) {
    const TensorView target = executor.d_logits(batch);
    backend.upload(target.data, d_logits.data(), target.size_bytes());
    executor.backward(batch, {}, nullptr, keys());
  }
  std::vector<float> logits(int batch = kDenseBatch) { return download_view(backend, executor.logits(batch)); }
  std::vector<float> gradient(std::size_t parameter) {
    const auto count = static_cast<std::size_t>(test.model.network().parameters()[parameter].shape.numel());
    return download_array(backend, test.model.parameters().gradients[parameter], count);
  }
  TensorId id_of(const std::string& name) const {
    const auto& nodes = test.model.network().nodes();
    const auto found = std::ranges::find_if(nodes, [&](const Node& node) { return node.name == name; });
    REQUIRE(found != nodes.end());
    return static_cast<TensorId>(found - nodes.begin()) + 1;
  }
  const PlannedBuffer* buffer(const std::string& name) const {
    const auto& buffers = executor.plan().buffers;
    const auto found = std::ranges::find_if(buffers, [&](const PlannedBuffer& b) { return b.name == name; });
    return found == buffers.end() ? nullptr : &*found;
  }

  Backend& backend;
  TestModel test;
  Executor executor;
  Buffer inputs, samples;
  std::vector<float> images, d_logits;
};

void check_same_gradients(JoinRun& a, JoinRun& b) {
  for (std::size_t p = 0; p < a.test.model.network().parameters().size(); ++p) {
    INFO(a.test.model.network().parameters()[p].name);
    CHECK(same_bits(a.gradient(p), b.gradient(p)));
  }
}

/// Central differences along random directions, of fourth order.
void check_gradients(JoinRun& run) {
  constexpr float step = 2e-2F;
  constexpr double relative = 1e-3, loss_rounding = 1e-6;
  run.forward();
  run.backward();
  RandomTensors random("directions");
  const auto& parameters = run.test.model.network().parameters();
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const std::vector<float> gradient = run.gradient(p);
    auto* place = run.test.model.parameters().values[p].as<float>();
    const std::vector<float> values = download_array(run.backend, place, gradient.size());
    std::vector<double> actual, expected;
    for (int trial = 0; trial < 6; ++trial) {
      const std::vector<float> direction = random.normal(static_cast<std::int64_t>(gradient.size()), 0, 1);
      const double length = std::sqrt(dot(direction, direction));
      const auto loss_at = [&](float reach) {
        std::vector<float> moved = values;
        for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += reach * direction[i];
        upload_array(run.backend, place, moved);
        run.forward();
        return dot(run.logits(), run.d_logits);
      };
      const auto slope = [&](float reach) { return (loss_at(reach) - loss_at(-reach)) / (2.0 * double{reach}); };
      actual.push_back(dot(direction, gradient) / length);
      expected.push_back(fourth_order(slope, step / static_cast<float>(length)) / length);
    }
    upload_array(run.backend, place, values);
    const double size = root_mean_square(to_doubles(gradient));
    check_slopes(parameters[p].name, actual, expected, {relative, relative * size + loss_rounding / double{step}});
  }
}

/// Counts the numbers that concats place, and those that they hand back.
class Counting final : public GuardingBackend {
 public:
  using GuardingBackend::GuardingBackend;
  void concat_forward(const ConcatForwardArgs& args) override {
    placed += args.geometry.rows * args.geometry.channels;
    GuardingBackend::concat_forward(args);
  }
  void concat_backward(const ConcatBackwardArgs& args) override {
    handed_back += args.geometry.rows * args.geometry.channels;
    GuardingBackend::concat_backward(args);
  }
  std::int64_t placed = 0, handed_back = 0;
};

std::string join(const std::string& name, const std::string& inputs) {
  return R"({"name": ")" + name + R"(", "layer": "concat", "inputs": [)" + inputs + "]}";
}

}  // namespace

TEST_CASE("a dense block has one buffer, from its first write to its last read, and so have its gradients") {
  const auto oracle = make_reference_backend();
  const JoinRun run(*oracle, build_network(dense_block()));
  const int nodes = static_cast<int>(run.test.model.network().nodes().size());
  for (const char* inner : {"a", "b", "a, gradient", "b, gradient"}) CHECK(run.buffer(inner) == nullptr);
  const auto time_of = [&](const std::string& name) { return run.id_of(name) - 1; };
  const PlannedBuffer* values = run.buffer("c");
  REQUIRE(values != nullptr);
  CHECK(values->size_bytes == sizeof(float) * kDenseBatch * kPixels * 20);
  CHECK(values->first_use == time_of("a"));
  CHECK(values->last_use == 2 * nodes - time_of("b.bn"));  // the first norm that reads a part of it comes last
  const PlannedBuffer* gradients = run.buffer("c, gradient");
  REQUIRE(gradients != nullptr);
  CHECK(gradients->size_bytes == values->size_bytes);
  CHECK(gradients->first_use == 2 * nodes - time_of("bn"));
  CHECK(gradients->last_use == 2 * nodes - time_of("a"));

  const TensorView inner = run.executor.tensor(run.id_of("a"), 2);
  CHECK(inner.shape == Shape({2, 6, 6, 12}));
  CHECK(inner.pitch == 20);
  CHECK(inner.data == run.executor.tensor(run.id_of("c"), 2).data);
  CHECK(run.executor.tensor(run.id_of("c"), 2).pitch == 0);

  const JoinRun inference(*oracle, build_network(dense_block()), ExecutionMode::inference);
  CHECK(inference.buffer("a") == nullptr);
  CHECK(inference.buffer("c")->first_use == time_of("a"));
  CHECK(inference.buffer("c")->last_use == time_of("bn"));
  const JoinRun tracing(*oracle, build_network(dense_block()), ExecutionMode::tracing);
  CHECK(tracing.buffer("c")->last_use == nodes);
  const JoinRun apart(*oracle, build_apart(dense_block(), {}));
  CHECK(apart.buffer("a") != nullptr);
  CHECK(run.executor.plan().arena_bytes < apart.executor.plan().arena_bytes);
}

TEST_CASE("a dense block copies nothing but its new channels") {
  const auto oracle = make_reference_backend();
  Counting backend(*oracle);
  JoinRun run(backend, build_network(dense_block()));
  run.forward();
  run.backward();
  CHECK(backend.placed == kDenseBatch * kPixels * (8 + 3 * 4));
  CHECK(backend.handed_back == backend.placed);
  JoinRun apart(backend, build_apart(dense_block(), {}));
  backend.placed = backend.handed_back = 0;
  apart.forward();
  apart.backward();
  CHECK(backend.placed == kDenseBatch * kPixels * (12 + 16 + 20));
  CHECK(backend.handed_back == backend.placed);
  CHECK(backend.guards_intact());
}

TEST_CASE("where concats share a buffer the bits are those of a network where none does") {
  const bool drops = GENERATE(false, true);
  const Quantizer quantizer{.activation = Activation::relu6, .act_bits = GENERATE(0, 4)};
  INFO((drops ? "dropout, " : "") << quantizer.act_bits << " bits of activations");
  const NetworkSpec spec = drops ? dense_block_with_dropout() : dense_block();
  const TestModel::MakeWeights weights = quantizer.act_bits > 0 ? start_as_planes(5) : TestModel::MakeWeights{};
  for_each_device([&](Backend& backend) {
    JoinRun shared(backend, build_network(spec, quantizer), ExecutionMode::training, weights);
    JoinRun apart(backend, build_apart(spec, quantizer), ExecutionMode::training, weights);
    for (const int batch : {kDenseBatch, 3, 1, kDenseBatch}) {
      INFO("batch " << batch);
      shared.forward(batch);
      apart.forward(batch);
      CHECK(same_bits(shared.logits(batch), apart.logits(batch)));
      shared.backward(batch);
      apart.backward(batch);
      check_same_gradients(shared, apart);
    }
    for (const ExecutionMode mode : {ExecutionMode::inference, ExecutionMode::tracing}) {
      JoinRun shared_inference(backend, build_network(spec, quantizer), mode, weights);
      JoinRun apart_inference(backend, build_apart(spec, quantizer), mode, weights);
      for (const int batch : {kDenseBatch, 1}) {
        shared_inference.forward(batch);
        apart_inference.forward(batch);
        CHECK(same_bits(shared_inference.logits(batch), apart_inference.logits(batch)));
      }
    }
  });
}

TEST_CASE("the gradients of networks that join images are those of central differences") {
  const std::string conv = R"({"name": "left", "layer": "conv2d", "out": 3, "inputs": ["stem.bn"], "quantized": true},
    {"name": "left.bn", "layer": "norm_act"},
    {"name": "right", "layer": "conv2d", "out": 5, "kernel": 1, "inputs": ["stem.bn"]},
    {"name": "right.bn", "layer": "norm_act"},)";
  const NetworkSpec branches = with_head(kStem + R"({"name": "stem.bn", "layer": "norm_act"},)" + conv +
                                         join("all", R"("left.bn", "stem.bn", "right.bn")"));
  const NetworkSpec spec = GENERATE_REF(dense_block(), dense_block_with_dropout(), branches);
  const auto oracle = make_reference_backend();
  JoinRun run(*oracle, build_network(spec));
  check_gradients(run);
}

TEST_CASE("a concat shares its first input if that is a concat and norms alone have read it before") {
  // x has 16 channels; k is a convolution of 4, wide one of 16.
  const std::string before = kStem + R"({"name": "stem.bn", "layer": "norm_act"},)" +
                             join("x", R"("stem", "stem.bn")") +
                             R"(,{"name": "k", "layer": "conv2d", "out": 4, "inputs": ["stem.bn"], "quantized": true},
                               {"name": "wide", "layer": "conv2d", "out": 16, "inputs": ["stem.bn"]},)";
  const auto owner_of_x = [&](const std::string& nodes) {
    const Network network = build_network(with_head(before + nodes));
    const TensorId owner = tensor_owners(network, true)[3];
    return network.nodes()[static_cast<std::size_t>(owner) - 1].name;
  };
  const auto norm = [](const std::string& inputs) {
    return R"({"name": "n", "layer": "norm_act", "inputs": [)" + inputs + "]},";
  };
  CHECK(owner_of_x(join("y", R"("x", "k", "wide")")) == "y");
  CHECK(owner_of_x(norm(R"("x")") + join("y", R"("x", "k", "wide", "n")")) == "y");
  CHECK(owner_of_x(norm(R"("x", "wide")") + join("y", R"("x", "k", "n")")) == "y");
  CHECK(owner_of_x(join("y", R"("x", "k")") + "," + join("z", R"("x", "wide")") + "," + join("all", R"("y", "z")")) ==
        "z");  // the last one that reads it
  CHECK(owner_of_x(join("y", R"("x", "k")") + "," + join("z", R"("y", "wide")")) == "z");
  // Branches, readers that want whole pixels, and one that comes later.
  CHECK(owner_of_x(join("y", R"("k", "x", "wide")")) == "x");
  CHECK(owner_of_x(norm(R"("wide", "x")") + join("y", R"("x", "k", "n")")) == "x");
  CHECK(owner_of_x(R"({"name": "c", "layer": "conv2d", "out": 4, "inputs": ["x"]},)" +
                   join("y", R"("x", "k", "wide", "c")")) == "x");
  CHECK(owner_of_x(join("y", R"("x", "k")") + "," + norm(R"("x")") + join("z", R"("y", "wide", "n")")) == "x");
}

TEST_CASE("in inference dropout is left out, and in training a sample's mask is its own wherever it comes") {
  for_each_device([](Backend& backend) {
    const NetworkSpec spec = dense_block_with_dropout();
    JoinRun inference(backend, build_network(spec), ExecutionMode::inference);
    const auto& executor = inference.executor;
    CHECK(executor.tensor(inference.id_of("a.drop"), 2).data == executor.tensor(inference.id_of("a.conv"), 2).data);
    CHECK(inference.buffer("a.drop") == nullptr);

    JoinRun training(backend, build_network(spec));
    const auto dropped = [&](int batch, const StepInputs& step) {
      training.set_step(step);
      training.forward(batch, step.first_sample);
      std::vector<bool> zeros;  // among the channels that the block's two dropouts have written
      const TensorView block = training.executor.tensor(training.id_of("b"), batch);
      const std::vector<float> values = download_view(backend, block);
      for (std::size_t i = 0; i < values.size(); ++i)
        if (i % 16 >= 8) zeros.push_back(values[i] == 0);
      return zeros;
    };
    const std::vector<bool> whole = dropped(kDenseBatch, {.epoch = 3});
    const std::vector<bool> part = dropped(3, {.epoch = 3, .first_sample = 1});
    CHECK(std::equal(part.begin(), part.end(), whole.begin() + kPixels * 8));
    CHECK(std::ranges::count(whole, true) > std::ssize(whole) / 3);  // 0.3 of the one half, 0.5 of the other
    CHECK(dropped(kDenseBatch, {.epoch = 4}) != whole);
    CHECK(dropped(kDenseBatch, {.epoch = 3}) == whole);
    CHECK_THROWS_AS(training.executor.forward(kDenseBatch), Error);  // without saying which samples these are
  });
}

TEST_CASE("a step of a network that joins images reads nothing that it has not written") {
  for_each_device([](Backend& backend) {
    JoinRun clean(backend, build_network(dense_block_with_dropout()));
    JoinRun poisoned(backend, build_network(dense_block_with_dropout()));
    const std::vector<std::byte> nan(poisoned.executor.plan().arena_bytes, std::byte{0xFF});
    const std::size_t images_offset = poisoned.executor.plan().buffers.front().offset;
    backend.upload(poisoned.executor.images(1).as<std::byte>() - images_offset, nan.data(), nan.size());
    clean.forward();
    poisoned.forward();
    CHECK(same_bits(clean.logits(), poisoned.logits()));
    clean.backward();
    poisoned.backward();
    check_same_gradients(clean, poisoned);
  });
}

}  // namespace bsq::test
