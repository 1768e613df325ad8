// What a stage may ask of its steps: parameters without decay, by their roles; smoothed labels; clipped gradients; in
// every form of the weights.
#include "engine/methods/csq/stored_csq.h"
#include "engine/model/tensor_names.h"
#include "engine/training/training_step.h"
#include "tests/support/engine.h"
#include "tests/support/files.h"

#include <numeric>
#include <set>

namespace bsq::test {
namespace {

constexpr int kPicturesOfStep = 6;

std::vector<std::pair<std::string, TestModel::MakeWeights>> forms_of_weights() {
  return {{"float", {}}, {"planes", start_as_planes(6)}, {"fixed", start_as_fixed(5)}, {"lsq", start_as_lsq(4)}};
}

Network network_with_pact() {
  return make_resnet(tiny_resnet(Activation::pact, 3));
}

ImageSet pictures_of_step() {
  return tiny_pictures("step options", kPicturesOfStep);
}

/// A model that has taken one step of learning rate 0 on all pictures, which leaves its gradients.
struct OneStep {
  OneStep(Backend& backend_to_use, const TestModel::MakeWeights& weights, const TrainingOptions& options,
          ImageSet pictures = pictures_of_step())
      : backend(backend_to_use),
        test(backend, network_with_pact(), weights),
        source(test.memory, std::move(pictures), "training"),
        step(test.memory, test.model, source, completed(options), alone()) {
    std::vector<std::int32_t> order(kPicturesOfStep);
    std::iota(order.begin(), order.end(), 0);
    source.begin_epoch(order);
    step.run(kPicturesOfStep, {.learning_rate = 0});
  }
  static TrainingOptions completed(TrainingOptions options) {
    options.augment = plain_input(tiny_input());
    options.batch_size = kPicturesOfStep;
    options.metrics_slots = 1;
    return options;
  }

  std::vector<std::vector<float>> gradients() {
    std::vector<std::vector<float>> all;
    const ParameterMemory& parameters = test.model.parameters();
    for (std::size_t i = 0; i < parameters.gradients.size(); ++i)
      all.push_back(download_array(backend, parameters.gradients[i],
                                   static_cast<std::size_t>(parameters.values[i].shape.numel())));
    return all;
  }
  /// The norm of the gradients of weights, also where they are stored as integers.
  double gradient_norm() {
    double squares = 0;
    const std::vector<std::vector<float>> all = gradients();
    for (std::size_t i = 0; i < all.size(); ++i) {
      const float* place = test.model.parameters().values[i].unit.weight;
      const double unit = place == nullptr ? 1 : double{download_array(backend, place, 1)[0]};
      for (const float gradient : all[i]) squares += std::pow(double{gradient} / unit, 2);
    }
    return std::sqrt(squares);
  }

  Backend& backend;
  TestModel test;
  ResidentSource source;
  TrainingStep step;
};

/// Whether a step of weight decay alone has changed a tensor of this name.
std::set<std::string> moved_by_decay(Backend& backend, const TestModel::MakeWeights& weights, const NoDecay& no_decay) {
  TestModel test(backend, network_with_pact(), weights, DType::f32, no_decay);
  TensorFile start = test.model.save();
  for (const ParameterSlot& slot : test.model.plain_layout().slots) {  // for a beta of 0 cannot decay
    const auto is_it = [&](const HostTensor& tensor) { return tensor.name == slot.spec.name; };
    HostTensor& tensor = *std::ranges::find_if(start.tensors, is_it);
    const std::vector<float> halves(static_cast<std::size_t>(slot.spec.shape.numel()), 0.5F);
    tensor = HostTensor::from<float>(tensor.name, tensor.shape, std::span(halves));
  }
  test.model.load_plain(start);
  const std::vector<HostTensor> before = test.model.save().tensors;
  Buffer inputs = test.memory.allocate_array<StepInputs>("inputs", 1);
  upload_array(backend, inputs.as<StepInputs>(), std::vector<StepInputs>{{.learning_rate = 0.1F}});
  test.model.step({.momentum = 0, .weight_decay = 0.5F}, inputs.as<StepInputs>(), nullptr);
  const std::vector<std::string> names = different_tensors(before, test.model.save().tensors);
  return {names.begin(), names.end()};
}

/// The same, by what the network says of its parameters.
std::set<std::string> expected_to_move(const std::string& form, const NoDecay& no_decay) {
  const Network network = network_with_pact();
  std::set<std::string> names;
  for (const ParameterSpec& spec : network.parameters()) {
    if (no_decay.norms && (spec.role == Role::norm_gamma || spec.role == Role::norm_beta)) continue;
    if (no_decay.biases && spec.role == Role::bias) continue;
    if (no_decay.pact && spec.role == Role::clip) continue;
    if (spec.group == ParameterGroup::plain || form == "float") {
      names.insert(spec.name);
      continue;
    }
    if (form == "planes" || form == "csq")
      for (const char* side : {"p", "n"}) names.insert(plane_name(spec.name, side));
    if (form == "fixed") names.insert(plane_name(spec.name, "u"));
    if (form == "lsq") names.insert(StoredLsq::tensor_names(spec.name)[0]);
    if (form == "csq") names.insert(plane_name(spec.name, "mask_"));
    if (form != "lsq" && !no_decay.scales) names.insert(scale_name(spec.name));
  }
  return names;
}

}  // namespace

TEST_CASE("weight decay leaves alone what no_decay lists, by roles, in every form of the weights") {
  const std::vector<NoDecay> choices = {{},
                                        {.norms = true},
                                        {.biases = true},
                                        {.pact = true},
                                        {.scales = true},
                                        {.norms = true, .biases = true, .pact = true, .scales = true}};
  for_each_device([&](Backend& backend) {
    auto forms = forms_of_weights();
    forms.emplace_back("csq", [](const ArenaLayout& layout) {
      return StoredCsq::convert(start_as_planes(4)(layout), std::vector<int>{});
    });
    for (const auto& [form, weights] : forms) {
      for (const NoDecay& no_decay : choices) {
        INFO(form << ", " << no_decay.norms << no_decay.biases << no_decay.pact << no_decay.scales);
        CHECK(moved_by_decay(backend, weights, no_decay) == expected_to_move(form, no_decay));
      }
    }
  });
}

TEST_CASE("the loss of a training step has the label smoothing of its options, that of an evaluation none") {
  for_each_device([](Backend& backend) {
    constexpr double kSmoothing = 0.25;
    constexpr int kClasses = 3;
    OneStep plain(backend, start_as_planes(6), {});
    OneStep smoothed(backend, start_as_planes(6), {.label_smoothing = static_cast<float>(kSmoothing)});
    // The target of a sample is a mixture of all labels, and so the loss is one of those that each label gives alone.
    double of_all_labels = 0;
    for (int shift = 0; shift < kClasses; ++shift) {
      ImageSet pictures = pictures_of_step();
      for (auto& label : pictures.labels) label = (label + shift) % kClasses;
      of_all_labels += OneStep(backend, start_as_planes(6), {}, pictures).step.metrics(0, 1)[0].loss_sum;
    }
    const double of_the_label = plain.step.metrics(0, 1)[0].loss_sum;
    const double expected = (1 - kSmoothing) * of_the_label + kSmoothing / kClasses * of_all_labels;
    CHECK(smoothed.step.metrics(0, 1)[0].loss_sum == Approx(expected).epsilon(relative_tolerance(DType::f32)));
    CHECK(of_the_label != Approx(expected).epsilon(1e-4));
    CHECK(plain.gradients() != smoothed.gradients());

    const auto loss_of_evaluation = [&](OneStep& of) {
      ResidentSource pictures(of.test.memory, tiny_pictures("test", 7), "test");
      return Evaluator(of.test.memory, of.test.model, pictures, tiny_input(), 7, alone()).run().loss_sum;
    };
    CHECK(loss_of_evaluation(plain) == loss_of_evaluation(smoothed));
  });
}

TEST_CASE("gradients of a step are clipped to the norm of its options, whatever the form of the weights") {
  for_each_device([](Backend& backend) {
    for (const auto& [form, weights] : forms_of_weights()) {
      INFO(form);
      OneStep whole(backend, weights, {});
      const std::vector<std::vector<float>> gradients = whole.gradients();
      const double norm = whole.gradient_norm();
      const double limit = norm / 3;
      OneStep clipped(backend, weights, {.clip_norm = static_cast<float>(limit)});
      CHECK(clipped.gradient_norm() == Approx(limit).epsilon(1e-4));
      const std::vector<std::vector<float>> shorter = clipped.gradients();
      for (std::size_t i = 0; i < gradients.size(); ++i) {
        INFO(whole.test.model.network().parameters()[i].name);
        std::vector<double> expected = to_doubles(gradients[i]);
        for (double& value : expected) value *= limit / (norm + 1e-6);
        CHECK(compare_scaled(to_doubles(shorter[i]), expected, relative_tolerance(DType::f32)).ok());
      }
      // A replay of the recorded step clips its own gradients, which are the same again: momentum has moved nothing.
      clipped.step.run(kPicturesOfStep, {.learning_rate = 0});
      CHECK(clipped.gradient_norm() == Approx(limit).epsilon(1e-4));
      OneStep unchanged(backend, weights, {.clip_norm = static_cast<float>(2 * norm)});
      CHECK(unchanged.gradients() == gradients);
    }
  });
}

}  // namespace bsq::test
