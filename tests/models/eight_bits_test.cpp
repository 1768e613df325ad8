// Each family of networks in bit planes of 8 bits, beside the same network in double precision.
#include "engine/network/layer_kinds.h"
#include "models/families.h"
#include "tests/models/double_network.h"
#include "tests/support/config.h"
#include "tests/support/network_run.h"

#include <cmath>
#include <map>
#include <set>
#include <span>

namespace bsq::test {
namespace {

constexpr double kForward = 2e-4;    // of the norm of the logits, as for traces
constexpr double kGradients = 3e-4;  // of what a random direction would see of the gradient
constexpr double kDistance = 1e-8;   // by which planes move: kinks that lie so near are few

struct SmallNetwork {
  std::string arch;
  std::map<std::string, ConfigValue> settings;
  std::int64_t image = 32;
  int batch = 2;
  int narrower = 1;  // convolutions have so many times fewer channels, where the family has no key for that

  NetworkSpec spec() const {
    Config config = default_config();
    config.model.arch = arch;
    for (const auto& [key, value] : settings) config.set_family(key, value);
    NetworkSpec spec = configured_network(config, {image, image, 3}, 10);
    for (NodeSpec& node : spec.nodes)
      if (node.layer == "conv2d") node.options["out"] = node.options.at("out").get<int>() / narrower;
    return spec;
  }
};

const std::vector<SmallNetwork>& small_networks() {
  static const ConfigValue bottleneck = std::string("bottleneck"), basic = std::string("basic");
  static const std::vector<SmallNetwork> networks = {
      {"alexnet", {}},
      {"vgg", {{"depth", 11}}, 32, 2, 8},
      {"vgg_bn", {{"depth", 11}}, 32, 4, 8},
      {"resnet", {{"depth", 8}}},
      {"resnet", {{"depth", 11}, {"block", bottleneck}, {"width", 8}}},
      {"preresnet", {{"depth", 8}}},
      {"preresnet", {{"depth", 11}, {"block", bottleneck}, {"width", 8}}},
      {"resnext", {{"depth", 11}, {"cardinality", 4}}, 16, 2, 8},
      {"wrn", {{"depth", 10}, {"widen_factor", 1}}},
      {"densenet", {{"depth", 10}, {"growth_rate", 4}}},
      {"densenet", {{"depth", 10}, {"growth_rate", 4}, {"block", basic}}},
      {"torchvision_resnet", {{"depth", 18}}, 64, 4, 8},
      {"mobilenet_v2", {{"width_mult", 0.25}, {"drop_rate", 0.0}}, 64, 4},
  };
  return networks;
}

Network float_network(const NetworkSpec& spec) {
  return build_network(spec, {.activation = Activation::relu, .act_bits = 0});
}

const std::vector<BitPlanes>& all_of(const Weights& weights) {
  return dynamic_cast<const StoredPlanes&>(*weights).all();
}

/// The planes of a model as they lie on the device, scales below zero included.
std::vector<BitPlanes> as_trained(const Weights& weights) {
  std::vector<BitPlanes> planes = all_of(weights);
  for (const std::size_t slot : dynamic_cast<const StoredPlanes&>(*weights).turned()) turn(planes[slot]);
  return planes;
}

/// A model of 8-bit planes at work, and its numbers in double.
class PlanesBesideDouble {
 public:
  PlanesBesideDouble(Backend& backend, const SmallNetwork& network, ExecutionMode mode)
      : batch_(network.batch),
        training_(mode == ExecutionMode::training),
        spec_(network.spec()),
        test_model_(backend, float_network(spec_), start_as_planes()),
        executor_(test_model_.memory, model().network(), model().parameters(), batch_, DType::f32, mode, {}),
        oracle_(spec_, model().network()),
        backend_(backend),
        planes_(model().weights()) {
    const Shape image = model().network().image();
    images_ = RandomTensors("images").normal(batch_ * image.numel(), 0, 1);
    const auto& parameters = model().network().parameters();
    for (std::size_t id = 0; id < parameters.size(); ++id)
      if (parameters[id].group == ParameterGroup::plain)
        values_[parameters[id].name] =
            numbers(model().parameters().values[id].as<float>(), parameters[id].shape.numel());
    const auto& states = model().network().states();
    for (std::size_t id = 0; id < states.size(); ++id)
      values_[states[id].name] = numbers(model().parameters().states[id], states[id].numel);
    const Weights floats = initial_weights(model().quantized_layout(), 1);
    for (std::size_t slot = 0; slot < start().size(); ++slot) {
      float_values_[name_of_slot(slot)] = to_doubles(floats->values(slot));
      values_[name_of_slot(slot)] = weights_of(start()[slot]);
    }
  }

  Model& model() { return test_model_.model; }
  const NetworkSpec& spec() const { return spec_; }
  const std::vector<BitPlanes>& start() const { return all_of(planes_); }

  std::vector<double> forward() {
    const TensorView target = executor_.images(batch_);
    backend_.upload(target.data, images_.data(), target.size_bytes());
    executor_.forward(batch_);
    return to_doubles(download_view(backend_, executor_.logits(batch_)));
  }
  void backward(const std::vector<float>& d_logits) {
    const TensorView target = executor_.d_logits(batch_);
    backend_.upload(target.data, d_logits.data(), target.size_bytes());
    executor_.backward(batch_);
  }
  /// SGD on the planes alone; returns where they are then.
  Weights step(float learning_rate) {
    DeviceMemory& memory = test_model_.memory;
    const Buffer inputs = memory.allocate_array<StepInputs>("step inputs", 1);
    const Buffer metrics = memory.allocate_array<StepMetrics>("metrics", 1);
    upload_array(backend_, inputs.as<StepInputs>(), {StepInputs{.learning_rate = learning_rate}});
    model().step({.momentum = 0, .weight_decay = 0}, inputs.as<StepInputs>(), metrics.as<StepMetrics>());
    return model().weights();
  }

  std::vector<double> double_logits() const { return oracle_.forward(values_, images_, batch_, training_); }
  std::vector<double> float_logits() const {
    DoubleValues values = values_;
    for (const auto& [name, numbers] : float_values_) values[name] = numbers;
    return oracle_.forward(values, images_, batch_, training_);
  }
  std::vector<double> double_logits_of(const std::vector<std::vector<double>>& weights) {
    DoubleValues values = values_;
    for (std::size_t slot = 0; slot < weights.size(); ++slot) values[name_of_slot(slot)] = weights[slot];
    return oracle_.forward(values, images_, batch_, training_);
  }

  /// s (sum of 2^(n-1-b) (p_b - n_b)) / (2^n - 1), not rounded: what the straight-through estimator differentiates.
  /// Planes p that are one are moved first, those of weight i by `distance` direction[i], every other one back.
  static std::vector<double> weights_of(const BitPlanes& planes, std::span<const float> direction = {},
                                        double distance = 0) {
    std::vector<double> weights(static_cast<std::size_t>(planes.numel));
    const double largest = std::exp2(planes.bits) - 1;
    for_each_plane(planes, [&](std::size_t i, std::size_t weight, int plane) {
      double q = double{planes.p[i]} - double{planes.n[i]};
      if (!direction.empty() && planes.p[i] == 1) q += distance * moved(direction, weight, plane);
      weights[weight] += double{planes.scale} * std::exp2(planes.bits - 1 - plane) / largest * q;
    });
    return weights;
  }
  static double moved(std::span<const float> direction, std::size_t weight, int plane) {
    return plane % 2 == 0 ? double{direction[weight]} : -double{direction[weight]};
  }
  /// Visits the place of every bit with its weight and its plane, 0 the most significant.
  template <typename Visit>
  static void for_each_plane(const BitPlanes& planes, Visit visit) {
    const auto numel = static_cast<std::size_t>(planes.numel);
    for (int plane = 0; plane < planes.bits; ++plane)
      for (std::size_t weight = 0; weight < numel; ++weight)
        visit(static_cast<std::size_t>(plane) * numel + weight, weight, plane);
  }

 private:
  std::vector<double> numbers(const float* place, std::int64_t count) {
    return to_doubles(download_array(backend_, place, static_cast<std::size_t>(count)));
  }
  const std::string& name_of_slot(std::size_t slot) { return model().quantized_layout().slots[slot].spec.name; }

  int batch_;
  bool training_;
  NetworkSpec spec_;
  TestModel test_model_;
  Executor executor_;
  DoubleNetwork oracle_;
  Backend& backend_;
  Weights planes_;
  std::vector<float> images_;
  DoubleValues values_, float_values_;
};

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) squares += std::pow(a[i] - b[i], 2);
  return std::sqrt(squares);
}

/// Of planes that are one, and so have room on either side.
double largest_move(const std::vector<BitPlanes>& before, const std::vector<BitPlanes>& after) {
  double largest = 0;
  for (std::size_t slot = 0; slot < before.size(); ++slot)
    for (std::size_t i = 0; i < before[slot].p.size(); ++i)
      if (before[slot].p[i] == 1)
        largest = std::max(largest, std::abs(double{before[slot].p[i]} - double{after[slot].p[i]}));
  return largest;
}

/// Forward, backward and a step of the planes; returns them.
Weights train(PlanesBesideDouble& run, const std::vector<float>& d_logits, double rate) {
  run.forward();
  run.backward(d_logits);
  return run.step(static_cast<float>(rate));
}

/// A rate at which every plane moves, none to the end of its range.
double rate_of(Backend& backend, const SmallNetwork& network, const std::vector<float>& d_logits) {
  constexpr double trial = 1e-3, far = 0.4;
  PlanesBesideDouble run(backend, network, ExecutionMode::training);
  return trial * far / largest_move(run.start(), as_trained(train(run, d_logits, trial)));
}

/// The gradient of the planes, which a step of theirs shows, along a random direction through the ones of some slots.
void check_direction(PlanesBesideDouble& run, const std::vector<BitPlanes>& after, double rate,
                     const std::vector<float>& d_logits, const std::set<std::size_t>& slots) {
  constexpr double resolution = 1.2e-7;  // of a plane near one, in float32
  const std::vector<BitPlanes>& start = run.start();
  std::vector<std::vector<double>> above, below;
  double actual = 0, squares = 0, ones = 0;
  for (std::size_t slot = 0; slot < start.size(); ++slot) {
    std::vector<float> direction;
    if (slots.contains(slot)) {
      direction = RandomTensors("direction").normal(start[slot].numel, 0, 1);
      PlanesBesideDouble::for_each_plane(start[slot], [&](std::size_t i, std::size_t weight, int plane) {
        if (start[slot].p[i] != 1) return;
        const double gradient = (1 - double{after[slot].p[i]}) / rate;
        actual += gradient * PlanesBesideDouble::moved(direction, weight, plane);
        squares += gradient * gradient;
        ones += 1;
      });
    }
    above.push_back(PlanesBesideDouble::weights_of(start[slot], direction, kDistance));
    below.push_back(PlanesBesideDouble::weights_of(start[slot], direction, -kDistance));
  }
  const double expected =
      (dot(run.double_logits_of(above), d_logits) - dot(run.double_logits_of(below), d_logits)) / (2 * kDistance);
  INFO("slots from " << *slots.begin() << ": " << actual << ", expected " << expected << " of " << std::sqrt(squares));
  CHECK(squares > 0);
  CHECK(std::abs(actual - expected) <= kGradients * std::sqrt(squares) + resolution * std::sqrt(ones) / rate);
}

void check_gradients(Backend& backend, const SmallNetwork& network) {
  const std::vector<float> d_logits = RandomTensors("d_logits").normal(network.batch * 10, 0, 1);
  const double rate = rate_of(backend, network, d_logits);
  PlanesBesideDouble run(backend, network, ExecutionMode::training);
  const std::vector<BitPlanes> after = as_trained(train(run, d_logits, rate));
  REQUIRE(largest_move(run.start(), after) < 0.9);
  std::set<std::size_t> all;
  std::vector<std::size_t> weights;  // biases may start at zero, and have no ones then
  for (std::size_t slot = 0; slot < run.start().size(); ++slot) {
    all.insert(slot);
    if (run.model().quantized_layout().slots[slot].spec.role == Role::weight) weights.push_back(slot);
  }
  for (const std::set<std::size_t>& slots : {all, {weights.front()}, {weights[weights.size() / 2]}, {weights.back()}})
    check_direction(run, after, rate, d_logits, slots);
}

}  // namespace

TEST_CASE("families in 8 bits are off by their quantization error in double precision, and no more", "[slow]") {
  const auto backend = make_backend("cpu", {.threads = 1});
  for (const SmallNetwork& network : small_networks()) {
    for (const ExecutionMode mode : {ExecutionMode::training, ExecutionMode::inference}) {
      PlanesBesideDouble run(*backend, network, mode);
      INFO(run.spec().name << (mode == ExecutionMode::training ? ", training" : ", evaluation"));
      const std::vector<double> logits = run.forward(), in_double = run.double_logits(), floats = run.float_logits();
      const double error = distance(in_double, floats), size = distance(floats, std::vector<double>(floats.size()));
      CHECK(norm_relative_error(logits, in_double) <= kForward);
      CHECK(distance(logits, floats) <= error + kForward * size);
      CHECK(error > 0);
      CHECK(error < 0.5 * size);
    }
  }
}

TEST_CASE("gradients of the planes of families in 8 bits are the slopes of the loss in double precision", "[slow]") {
  const auto backend = make_backend("cpu", {.threads = 1});
  for (const SmallNetwork& network : small_networks()) {
    INFO(network.spec().name);
    check_gradients(*backend, network);
  }
}

}  // namespace bsq::test
