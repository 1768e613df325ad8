// Every layer by itself on the oracle: what its backward writes for each parameter and each input, against central
// differences (of fourth order) of its forward, both where a gradient is overwritten and where it is added to.
//
// Norms are set up so that every element stays away from the kinks of its activation: even channels between them, odd
// ones alternately beyond either. Each layer is differentiable there, and the step of the difference may be large.
#include "engine/network/layers/average_pool.h"
#include "engine/network/layers/bias_act.h"
#include "engine/network/layers/conv2d.h"
#include "engine/network/layers/flatten.h"
#include "engine/network/layers/linear.h"
#include "engine/network/layers/max_pool.h"
#include "engine/network/layers/norm_act.h"
#include "tests/support/engine.h"
#include "tests/support/gradients.h"

namespace bsq::test {
namespace {

/// One layer with its tensors; loss = sum of output * d_output, in double.
class LayerRun {
 public:
  LayerRun(const Layer& layer, const std::vector<Shape>& shapes, const std::vector<std::vector<float>>& parameters,
           int state_size = 0)
      : layer_(layer), memory_(*backend_) {
    RandomTensors random("layer inputs");
    std::vector<TensorSpec> specs;
    for (const Shape& shape : shapes) {
      specs.push_back({shape, DType::f32});
      inputs_.push_back(random.uniform(shape.numel(), -1, 1));
      input_buffers_.push_back(filled(inputs_.back()));
      d_input_buffers_.push_back(filled(random.normal(shape.numel(), 0, 1)));
      initial_d_inputs_.push_back(read(d_input_buffers_.back()));
    }
    output_ = layer.output(specs);
    d_output_ = random.normal(output_.shape.numel(), 0, 1);
    output_buffer_ = filled(std::vector<float>(d_output_.size()));
    d_output_buffer_ = filled(d_output_);
    for (const auto& values : parameters) {
      parameter_buffers_.push_back(filled(values));
      gradient_buffers_.push_back(filled(std::vector<float>(values.size(), 99)));  // must be overwritten
      parameters_.values.push_back(
          {DType::f32, {static_cast<std::int64_t>(values.size())}, parameter_buffers_.back().data()});
      parameters_.gradients.push_back(gradient_buffers_.back().as<float>());
    }
    for (int state = 0; state_size > 0 && state < 2; ++state) {
      state_buffers_.push_back(filled(std::vector<float>(static_cast<std::size_t>(state_size), 1)));
      parameters_.states.push_back(state_buffers_.back().as<float>());
    }
    const LayerMemory plan = layer.plan(*backend_, specs, {});
    saved_ = memory_.allocate("saved", plan.saved_bytes);
    scratch_ = memory_.allocate("scratch", plan.scratch_bytes);
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      views_.push_back({DType::f32, shapes[i], input_buffers_[i].data()});
      d_views_.push_back({DType::f32, shapes[i], d_input_buffers_[i].data()});
    }
  }

  /// In place of the random numbers.
  void set_input(std::size_t input, const std::vector<float>& values) {
    upload_array(*backend_, input_buffers_[input].as<float>(), values);
  }
  const Shape& output_shape() const { return output_.shape; }
  std::vector<float> gradient(std::size_t parameter) { return read(gradient_buffers_[parameter]); }
  /// The first input keeps its gradient to itself in every layer here but conv2d: `modes` as the executor would say.
  void backward(const std::vector<GradMode>& modes) {
    forward();
    layer_.backward({.backend = *backend_,
                     .parameters = parameters_,
                     .inputs = views_,
                     .d_output = {DType::f32, output_.shape, d_output_buffer_.data()},
                     .d_inputs = d_views_,
                     .modes = modes,
                     .saved = saved_.data(),
                     .scratch = scratch_.data()});
  }

  /// `modes` as given to backward. Expects every coordinate of every tensor within `tolerance` of its difference.
  void check(const std::vector<GradMode>& modes, float step, double tolerance) {
    backward(modes);
    for (std::size_t i = 0; i < parameter_buffers_.size(); ++i) {
      check_tensor("parameter " + std::to_string(i), parameter_buffers_[i], to_doubles(read(gradient_buffers_[i])),
                   step, tolerance);
    }
    for (std::size_t i = 0; i < input_buffers_.size(); ++i) {
      std::vector<double> gradient = to_doubles(read(d_input_buffers_[i]));
      if (modes[i] == GradMode::accumulate) {
        for (std::size_t j = 0; j < gradient.size(); ++j) gradient[j] -= double{initial_d_inputs_[i][j]};
      }
      const char* how = modes[i] == GradMode::accumulate ? ", accumulated" : ", overwritten";
      check_tensor("input " + std::to_string(i) + how, input_buffers_[i], gradient, step, tolerance);
    }
  }

 private:
  Buffer filled(const std::vector<float>& values) {
    Buffer buffer = memory_.allocate("", values.size() * sizeof(float));
    upload_array(*backend_, buffer.as<float>(), values);
    return buffer;
  }
  std::vector<float> read(const Buffer& buffer) {
    return download_array(*backend_, buffer.as<float>(), buffer.size_bytes() / sizeof(float));
  }

  void forward() {
    layer_.forward({.backend = *backend_,
                    .parameters = parameters_,
                    .inputs = views_,
                    .output = {DType::f32, output_.shape, output_buffer_.data()},
                    .saved = saved_.data(),
                    .scratch = scratch_.data(),
                    .training = true});
  }
  double loss() {
    forward();
    return dot(read(output_buffer_), d_output_);
  }

  void check_tensor(const std::string& name, const Buffer& tensor, const std::vector<double>& gradient, float step,
                    double tolerance) {
    const std::span<float> values(tensor.as<float>(), gradient.size());  // the oracle's memory is the host's
    const Difference difference = central_difference(
        values, step, [this] { return loss(); }, ErrorOrder::fourth);
    check_gradient(name, gradient, difference, tolerance, kEveryCoordinate);
    INFO(name);
    CHECK(root_mean_square(gradient) > 0.01);  // there was something to compare
  }

  const Layer& layer_;
  std::unique_ptr<Backend> backend_ = make_reference_backend();
  DeviceMemory memory_;
  std::vector<std::vector<float>> inputs_, initial_d_inputs_;
  std::vector<Buffer> input_buffers_, d_input_buffers_, parameter_buffers_, gradient_buffers_, state_buffers_;
  std::vector<TensorView> views_, d_views_;
  TensorSpec output_;
  std::vector<float> d_output_;
  Buffer output_buffer_, d_output_buffer_, saved_, scratch_;
  ParameterMemory parameters_;
};

// Linear in every coordinate: no truncation error, so that the step may be 1. The rest is float32 rounding of outputs.
constexpr float kLinearStep = 1.0F;
constexpr double kLinearTolerance = 1e-5;
// Batch norm is curved: step^4 of truncation against 1e-6 / step of rounding.
constexpr float kCurvedStep = 0.03125F;
constexpr double kCurvedTolerance = 1e-3;

constexpr int kChannels = 6;

/// gamma, beta and, for PACT, a ceiling of 5; see the top of the file. Inputs are
/// uniform in -1 .. 1, so that |xhat| stays below 3.5 and z within 1.7 of beta even with a shortcut.
std::vector<std::vector<float>> norm_parameters(Activation activation) {
  std::vector<float> gamma;
  std::vector<float> beta;
  for (int channel = 0; channel < kChannels; ++channel) {
    gamma.push_back(0.15F + 0.01F * static_cast<float>(channel));
    beta.push_back(channel % 2 == 0 ? 2.5F : (channel % 4 == 1 ? -2.5F : 11.0F));
  }
  if (activation == Activation::pact) return {gamma, beta, {5.0F}};
  return {gamma, beta};
}

}  // namespace

TEST_CASE("conv2d: gradients of weight and input are those of central differences") {
  const auto options =
      GENERATE(Conv2dOptions{.in_channels = 3, .out_channels = 4},
               Conv2dOptions{.in_channels = 4, .out_channels = 6, .groups = 2},
               Conv2dOptions{.in_channels = 3, .out_channels = 6, .stride = 2, .groups = 3},
               Conv2dOptions{.in_channels = 4, .out_channels = 5, .stride = 2},
               Conv2dOptions{.in_channels = 4, .out_channels = 2, .kernel = 1, .stride = 2, .padding = 0});
  const GradMode mode = GENERATE(GradMode::overwrite, GradMode::accumulate);
  const Conv2d layer(options, 0);
  const std::int64_t weights =
      options.out_channels * options.kernel * options.kernel * options.in_channels / options.groups;
  LayerRun run(layer, {{2, 5, 4, options.in_channels}}, {RandomTensors("filter").normal(weights, 0, 0.3F)});
  CHECK(run.output_shape() ==
        Shape({2, options.stride == 1 ? 5 : 3, options.stride == 1 ? 4 : 2, options.out_channels}));
  run.check({mode}, kLinearStep, kLinearTolerance);
}

TEST_CASE("linear: gradients of weight, bias and input are those of central differences") {
  const Linear layer(7, 4, 0, 1);
  RandomTensors random("classifier");
  const GradMode mode = GENERATE(GradMode::overwrite, GradMode::accumulate);
  LayerRun run(layer, {{3, 7}}, {random.normal(28, 0, 1), random.normal(4, 0, 1)});
  CHECK(run.output_shape() == Shape({3, 4}));
  run.check({mode}, kLinearStep, kLinearTolerance);
}

TEST_CASE("average_pool: the gradient of the input is that of central differences") {
  const auto [options, shape] = GENERATE(table<AveragePoolOptions, Shape>(
      {{{}, {2, 5}}, {{.kernel = 2}, {2, 1, 2, 5}}, {{.out = 2}, {2, 2, 2, 5}}, {{.out = 5}, {2, 5, 5, 5}}}));
  const GradMode mode = GENERATE(GradMode::overwrite, GradMode::accumulate);
  const AveragePool layer(options);
  LayerRun run(layer, {{2, 3, 4, 5}}, {});
  CHECK(run.output_shape() == shape);
  run.check({mode}, kLinearStep, kLinearTolerance);
}

TEST_CASE("max_pool: the gradient of the input is that of central differences") {
  const auto [options, shape] =
      GENERATE(table<MaxPoolOptions, Shape>({{{}, {2, 2, 3, 3}},
                                             {{.kernel = 3, .stride = 2, .padding = 1}, {2, 3, 3, 3}},
                                             {{.kernel = 2, .stride = 2, .ceil_mode = true}, {2, 3, 3, 3}}}));
  const GradMode mode = GENERATE(GradMode::overwrite, GradMode::accumulate);
  const MaxPool layer(options);
  LayerRun run(layer, {{2, 5, 6, 3}}, {});
  CHECK(run.output_shape() == shape);
  std::vector<float> apart;  // 7 modulo 181, times 5: no two are nearer than two steps of the difference
  for (int i = 0; i < 180; ++i) apart.push_back(5 * static_cast<float>(7 * i % 181 - 90));
  run.set_input(0, apart);
  run.check({mode}, kLinearStep, kLinearTolerance);
}

TEST_CASE("flatten: the gradient of the input is that of central differences") {
  const GradMode mode = GENERATE(GradMode::overwrite, GradMode::accumulate);
  const Flatten layer;
  LayerRun run(layer, {{2, 3, 4, 5}}, {});
  CHECK(run.output_shape() == Shape({2, 60}));
  run.check({mode}, kLinearStep, kLinearTolerance);
}

TEST_CASE("norm_act: gradients in every activation, with and without a shortcut, are those of central differences") {
  const Activation activation = GENERATE(Activation::none, Activation::relu, Activation::relu6, Activation::pact);
  const bool has_shortcut = GENERATE(false, true);
  INFO(name_of(activation) << (has_shortcut ? " with shortcut" : ""));
  const NormAct layer(
      {.channels = kChannels, .activation = activation},
      {.gamma = 0, .beta = 1, .clip = activation == Activation::pact ? 2 : -1, .running_mean = 0, .running_var = 1});
  const Shape shape{2, 3, 3, kChannels};
  if (!has_shortcut) {
    LayerRun run(layer, {shape}, norm_parameters(activation), kChannels);
    run.check({GradMode::overwrite}, kCurvedStep, kCurvedTolerance);
    return;
  }
  for (const GradMode shortcut_mode : {GradMode::overwrite, GradMode::accumulate}) {
    LayerRun run(layer, {shape, shape}, norm_parameters(activation), kChannels);
    run.check({GradMode::overwrite, shortcut_mode}, kCurvedStep, kCurvedTolerance);
  }
}

TEST_CASE("norm_act: the bias of the convolution before it has the gradient 0") {
  const NormAct layer({.channels = kChannels, .activation = Activation::none},
                      {.gamma = 0, .beta = 1, .running_mean = 0, .running_var = 1, .input_bias = 2});
  std::vector<std::vector<float>> parameters = norm_parameters(Activation::none);
  parameters.push_back(RandomTensors("bias").normal(kChannels, 0, 1));
  LayerRun run(layer, {{2, 3, 3, kChannels}}, parameters, kChannels);
  CHECK(layer.parameters() == std::vector<ParameterId>{0, 1, 2});
  run.backward({GradMode::overwrite});
  CHECK(run.gradient(2) == std::vector<float>(kChannels, 0.0F));
}

TEST_CASE(
    "bias_act: gradients of bias, ceiling and inputs, of images and of vectors, are those of central differences") {
  const Activation activation = GENERATE(Activation::none, Activation::relu, Activation::relu6, Activation::pact);
  const bool has_second = GENERATE(false, true);
  const bool has_bias = GENERATE(false, true);
  const Shape shape = GENERATE(Shape{2, 3, 3, kChannels}, Shape{4, kChannels});
  INFO(name_of(activation) << (has_second ? " of two" : "") << (has_bias ? " with bias" : ""));
  std::vector<std::vector<float>> parameters;
  BiasActOptions options{.channels = kChannels, .activation = {.activation = activation}};
  // Without a bias inputs of -1 .. 1 are near the kink at 0: nothing bends there but where a ceiling is far from them.
  if (!has_bias && activation != Activation::none) return;
  if (has_bias) {
    options.bias = 0;
    parameters.push_back(norm_parameters(activation)[1]);
  }
  if (activation == Activation::pact) {
    options.activation.clip = static_cast<ParameterId>(parameters.size());
    parameters.push_back({5.0F});
  }
  const BiasAct layer(options);
  CHECK(layer.backward_reads_inputs() == (activation != Activation::none));
  for (const GradMode first : {GradMode::overwrite, GradMode::accumulate}) {
    std::vector<Shape> shapes(has_second ? 2 : 1, shape);
    std::vector<GradMode> modes = {first};
    if (has_second) modes.push_back(first == GradMode::overwrite ? GradMode::accumulate : GradMode::overwrite);
    LayerRun run(layer, shapes, parameters);
    CHECK(run.output_shape() == shape);
    run.check(modes, kCurvedStep, kCurvedTolerance);
  }
}

TEST_CASE("layers refuse inputs that do not fit") {
  const auto refused = [](const Layer& layer, const std::vector<TensorSpec>& inputs) {
    CHECK_THROWS_AS(layer.output(inputs), Error);
  };
  const Conv2d conv({.in_channels = 3, .out_channels = 4}, 0);
  refused(conv, {{{2, 8, 8, 4}}});
  refused(conv, {{{2, 8, 8, 3}}, {{2, 8, 8, 3}}});
  refused(Conv2d({.in_channels = 3, .out_channels = 6, .groups = 2}, 0), {{{2, 8, 8, 3}}});
  const NormAct norm({.channels = 4}, {});
  refused(norm, {{{2, 8, 8, 3}}});
  refused(norm, {{{2, 8, 8, 4}}, {{2, 4, 4, 4}}});
  refused(norm, {});
  const BiasAct bias_act({.channels = 4});
  refused(bias_act, {{{2, 8, 8, 3}}});
  refused(bias_act, {{{2, 8, 8, 4}}, {{2, 4, 4, 4}}});
  refused(bias_act, {{{8, 2, 4}}});
  refused(bias_act, {{{2, 4}}, {{2, 4}, DType::bf16}});
  refused(bias_act, {});
  const Linear linear(5, 2, 0, 1);
  refused(linear, {{{2, 4}}});
  refused(linear, {{{2, 5}, DType::bf16}});
  refused(AveragePool(), {{{2, 5}}});
  refused(AveragePool({.kernel = 4}), {{{2, 3, 8, 5}}});
  refused(MaxPool({.kernel = 4}), {{{2, 3, 8, 5}}});
  refused(MaxPool({}), {{{2, 5}}});
  refused(Flatten(), {{{2, 5}}});
}

}  // namespace bsq::test
