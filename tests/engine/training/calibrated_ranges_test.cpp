// Ranges of what only the deployed network rounds: what they are the means of, and what a model is that has settled
// in integers (METHOD 16).
#include "engine/deployed/deploy.h"
#include "engine/deployed/deployed_run.h"
#include "engine/deployed/settle.h"
#include "engine/deployed/value_ranges.h"
#include "engine/input/sampler.h"
#include "engine/training/calibrator.h"
#include "tests/support/bias_networks.h"
#include "tests/support/engine.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace bsq::test {
namespace {

constexpr int kRangeBatch = 4;
constexpr int kRangeImage = 8;

Quantizer rounding_quantizer(int bits) {
  return {.activation = Activation::relu6, .act_bits = bits, .static_scales = true, .rounds_to_ranges = true};
}

Network rounding_resnet(int bits) {
  return build_network(resnet_spec(tiny_resnet()), rounding_quantizer(bits));
}

/// A model of 6-bit weights, and training images.
struct Rounding {
  Rounding(Backend& device, Network network, const InputOptions& images = tiny_input())
      : backend(device),
        input(images),
        test(backend, std::move(network), start_as_planes(6)),
        source(test.memory, tiny_pictures("calibration", 18), "training") {}

  void calibrate(int batches) {
    Calibrator(test.memory, test.model, source, {input, kRangeBatch, batches, 5}, alone()).run();
  }
  std::map<std::string, std::vector<float>> ranges() {
    std::map<std::string, std::vector<float>> found;
    const TensorFile file = test.model.save();
    for (const HostTensor& tensor : file.tensors)
      if (tensor.name.ends_with(".range")) found[tensor.name] = values_of(file, tensor.name);
    return found;
  }

  Backend& backend;
  InputOptions input;
  TestModel test;
  ResidentSource source;
};

/// Runs the batch of these images; the executor keeps every tensor.
void run_images(Rounding& setup, Executor& executor, std::int64_t batch, const ForwardOptions& options) {
  const Buffer inputs = setup.test.memory.allocate_array<StepInputs>("inputs", 1);
  const Buffer labels = setup.test.memory.allocate_array<std::int32_t>("labels", kRangeBatch);
  upload_array(setup.backend, inputs.as<StepInputs>(), std::vector<StepInputs>{{.first_sample = batch * kRangeBatch}});
  setup.backend.augment({plain_input(setup.input), setup.source.rows(), inputs.as<StepInputs>(), kRangeBatch,
                         executor.images(kRangeBatch), labels.as<std::int32_t>()});
  executor.forward(kRangeBatch, options);
}

/// The means over batches of the extremes of a node's output, 0 among them.
std::vector<float> extremes_by_hand(Rounding& setup, const std::string& name, int batches) {
  const Network& network = setup.test.model.network();
  setup.source.begin_epoch(epoch_order(setup.source.size(), {5, kCalibrationOrder, 0}));
  Executor executor(setup.test.memory, network, setup.test.model.parameters(), kRangeBatch, DType::f32,
                    ExecutionMode::tracing);
  double low = 0, high = 0;
  for (int batch = 0; batch < batches; ++batch) {
    run_images(setup, executor, batch, {.rounds_to_ranges = false});
    for (std::size_t i = 0; i < network.nodes().size(); ++i) {
      if (network.nodes()[i].name != name) continue;
      const TensorView view = executor.tensor(static_cast<TensorId>(i) + 1, kRangeBatch);
      const std::vector<float> numbers =
          download_array(setup.backend, view.as<float>(), static_cast<std::size_t>(view.shape.numel()));
      low += double{*std::ranges::min_element(numbers)} / batches;
      high += double{*std::ranges::max_element(numbers)} / batches;
    }
  }
  return {static_cast<float>(std::min(low, 0.0)), static_cast<float>(std::max(high, 0.0))};
}

void check_close_ranges(const std::vector<float>& found, const std::vector<float>& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    CHECK(double{found[i]} == Approx(double{expected[i]}).epsilon(1e-5).margin(1e-6));
}

std::set<std::string> names_of_states(const Network& network) {
  std::set<std::string> names;
  for (const StateSpec& state : network.states())
    if (state.role == Role::value_range) names.insert(state.name);
  return names;
}

/// The logits of the first training images: with calibrated scales, and in integers.
struct BothLogits {
  std::vector<float> calibrated;
  std::vector<float> deployed;

  double largest_difference() const {
    double largest = 0;
    for (std::size_t i = 0; i < calibrated.size(); ++i)
      largest = std::max(largest, std::abs(double{calibrated[i]} - double{deployed[i]}));
    return largest;
  }
};

BothLogits both_logits(Rounding& setup) {
  constexpr int kBatches = 4;
  Model& model = setup.test.model;
  const DeploymentPlan plan = plan_deployment(model.network());
  const TensorFile file = model.save();
  const Weights weights = model.weights();
  const Deployment made = deploy(model.network(), plan, ParameterNumbers(model.network(), file, *weights),
                                 trained_ranges(model.network(), plan, file), setup.input);
  std::vector<std::int32_t> order(static_cast<std::size_t>(setup.source.size()));
  std::iota(order.begin(), order.end(), 0);
  setup.source.begin_epoch(order);
  Executor executor(setup.test.memory, model.network(), model.parameters(), kRangeBatch, DType::f32,
                    ExecutionMode::inference);
  BothLogits logits;
  for (int batch = 0; batch < kBatches; ++batch) {
    run_images(setup, executor, batch, {.act_scale = ActScale::calibrated});
    const std::vector<float> found =
        download_array(setup.backend, executor.logits(kRangeBatch).as<float>(), 3 * kRangeBatch);
    logits.calibrated.insert(logits.calibrated.end(), found.begin(), found.end());
  }
  std::vector<std::uint8_t> pictures = tiny_pictures("calibration", 18).pixels;
  pictures.resize(static_cast<std::size_t>(kBatches) * kRangeBatch * kRangeImage * kRangeImage * 3);
  logits.deployed = run_deployed(made.network, pictures, 1);
  return logits;
}

/// Of which bytes are levels.
InputOptions input_of_bytes() {
  const float zero = 128.0F / 255.0F, unit = 64.0F / 255.0F;
  return {.height = kRangeImage, .width = kRangeImage, .mean = {zero, zero, zero}, .std = {unit, unit, unit}};
}

}  // namespace

TEST_CASE("a residual network has ranges of its stem, of the terms of additions and of projections") {
  CHECK(names_of_states(rounding_resnet(4)) ==
        std::set<std::string>{"bn1.range", "layer1.0.bn2.term.range", "layer2.0.bn2.term.range",
                              "layer2.0.downsample.1.range", "layer3.0.bn2.term.range", "layer3.0.downsample.1.range"});
  CHECK(names_of_states(build_network(resnet_spec(tiny_resnet()), {Activation::relu6, 4, true})).empty());
  CHECK(names_of_states(preresnet(rounding_quantizer(4))) == std::set<std::string>{"a.term.range", "a.shortcut.range",
                                                                                   "a.range", "b.term.range",
                                                                                   "b.shortcut.range", "b.range"});
}

TEST_CASE("every range that a deployed residual network or VGG needs is one that training has") {
  const Network networks[] = {rounding_resnet(4), rounding_resnet(8), preresnet(rounding_quantizer(4), kRangeImage),
                              vgg(rounding_quantizer(4), kRangeImage), vgg_bn(rounding_quantizer(4), kRangeImage)};
  for_each_device([&](Backend& backend) {
    for (const Network& network : networks) {
      Rounding setup(backend, network);
      setup.calibrate(3);
      const DeploymentPlan plan = plan_deployment(network);
      CHECK(has_all(trained_ranges(network, plan, setup.test.model.save()), plan));
    }
  });
}

TEST_CASE("a range is the means of the least and the largest number, as inference finds them without rounding") {
  for_each_device([](Backend& backend) {
    Rounding setup(backend, rounding_resnet(4));
    for (const auto& [name, range] : setup.ranges()) CHECK(range == std::vector<float>{-1, -1});  // not yet
    setup.calibrate(3);
    const auto ranges = setup.ranges();
    for (const std::string name : {"bn1", "layer2.0.downsample.1"})
      check_close_ranges(ranges.at(name + ".range"), extremes_by_hand(setup, name, 3));
    for (const auto& [name, range] : ranges) {
      INFO(name);
      CHECK(range[0] <= 0);
      CHECK(range[1] > 0);
    }
    CHECK(ranges.at("bn1.range")[0] == 0);  // behind a ReLU
    setup.calibrate(3);
    CHECK(setup.ranges() == ranges);  // whatever was there before
  });
}

TEST_CASE("the range of a term is that of the norm without what is added to it") {
  for_each_device([](Backend& backend) {
    Rounding setup(backend, rounding_resnet(4));
    setup.calibrate(2);
    // The same network with the shortcut of the first block taken away.
    NetworkSpec spec = resnet_spec(tiny_resnet());
    for (NodeSpec& node : spec.nodes) {
      if (node.name != "layer1.0.bn2") continue;
      node.inputs.resize(1);
      node.options = {{"activation", "none"}};
    }
    Rounding alone_term(backend, build_network(spec, {Activation::relu6, 4, true}));
    check_close_ranges(setup.ranges().at("layer1.0.bn2.term.range"), extremes_by_hand(alone_term, "layer1.0.bn2", 2));
  });
}

TEST_CASE("ranges are part of a checkpoint, which loads with and without them") {
  for_each_device([](Backend& backend) {
    Rounding setup(backend, rounding_resnet(4)), other(backend, rounding_resnet(4));
    setup.calibrate(2);
    TensorFile file = setup.test.model.save();
    check_names(file, other.test.model.network());
    other.test.model.load_plain(file);
    CHECK(other.ranges() == setup.ranges());
    const Network plain = build_network(resnet_spec(tiny_resnet()), {});
    check_names(file, plain);
    std::erase_if(file.tensors, [](const HostTensor& tensor) { return tensor.name.ends_with(".range"); });
    Rounding third(backend, rounding_resnet(4));
    check_names(file, third.test.model.network());
    third.test.model.load_plain(file);
    for (const auto& [name, range] : third.ranges()) CHECK(range == std::vector<float>{-1, -1});
  });
}

TEST_CASE("a model that has settled gives the logits of its integers, and had others before") {
  const int bits = GENERATE(2, 4, 8);
  INFO(bits << " bits");
  for_each_device([&](Backend& backend) {
    Rounding setup(backend, rounding_resnet(bits), input_of_bytes());
    setup.calibrate(4);
    const double before = both_logits(setup).largest_difference();
    settle_in_integers(backend, setup.test.model, plan_deployment(setup.test.model.network()), setup.input);
    const double after = both_logits(setup).largest_difference();
    CHECK(after < 1e-5);
    CHECK(before > 1e-4);
  });
}

TEST_CASE("settling moves offsets and float filters by half a level, nothing else, and once") {
  for_each_device([](Backend& backend) {
    Rounding setup(backend, rounding_resnet(4));
    setup.calibrate(4);
    Model& model = setup.test.model;
    const DeploymentPlan plan = plan_deployment(model.network());
    const TensorFile before = model.save();
    settle_in_integers(backend, model, plan, setup.input);
    const TensorFile after = model.save();
    const std::vector<std::string> changed = different_tensors(before.tensors, after.tensors);
    CHECK_FALSE(changed.empty());
    for (const std::string& name : changed) {
      INFO(name);
      const bool is_filter = name.ends_with("downsample.0.weight");
      CHECK((is_filter || name.find("bn") != std::string::npos || name.ends_with("downsample.1.bias")));
      const std::vector<float> was = values_of(before, name), is = values_of(after, name);
      float largest = 0;
      for (const float number : was) largest = std::max(largest, std::abs(number));
      for (std::size_t i = 0; i < was.size(); ++i)
        CHECK(std::abs(was[i] - is[i]) <= (is_filter ? 0.51F * largest / 127 : 0.01F));
    }
    settle_in_integers(backend, model, plan, setup.input);
    for (const std::string& name : different_tensors(after.tensors, model.save().tensors))
      check_close_ranges(values_of(model.save(), name), values_of(after, name));
  });
}

TEST_CASE("a model whose scales are no numbers does not settle") {
  for_each_device([](Backend& backend) {
    Rounding setup(backend, rounding_resnet(4));
    Model& model = setup.test.model;
    const TensorFile before = model.save();
    settle_in_integers(backend, model, plan_deployment(model.network()), setup.input);  // nothing is calibrated
    CHECK(different_tensors(before.tensors, model.save().tensors).empty());
  });
}

}  // namespace bsq::test
