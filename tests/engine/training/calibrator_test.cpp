// Calibrated activation scales: what they are the mean of, and what they are for.
#include "engine/training/calibrator.h"

#include "engine/input/sampler.h"
#include "engine/network/layers/norm_act.h"
#include "tests/support/engine.h"

#include <numeric>

namespace bsq::test {
namespace {

constexpr int kBits = 3;
constexpr int kBatch = 4;

ResNetOptions quantized_resnet() {
  ResNetOptions options = tiny_resnet(Activation::relu6, kBits);
  options.static_act_scales = true;
  return options;
}

struct Calibration {
  explicit Calibration(Backend& device, int pictures = 18)
      : backend(device),
        test(backend, make_resnet(quantized_resnet()), start_as_planes()),
        source(test.memory, tiny_pictures("calibration", pictures), "training") {}

  Calibrator calibrator(int batches) {
    return {test.memory, test.model, source, {tiny_input(), kBatch, batches, 5}, alone()};
  }
  std::map<std::string, float> scales() {
    std::map<std::string, float> found;
    const TensorFile file = test.model.save();
    for (const HostTensor& tensor : file.tensors)
      if (tensor.name.ends_with(".act_scale")) found[tensor.name] = values_of(file, tensor.name).at(0);
    return found;
  }

  Backend& backend;
  TestModel test;
  ResidentSource source;
};

/// The mean over batches of max|y|, which the unit of the levels tells.
std::map<std::string, double> means_by_hand(Calibration& setup, int batches) {
  DeviceMemory memory(setup.backend);
  setup.source.begin_epoch(epoch_order(setup.source.size(), {5, kCalibrationOrder, 0}));
  const Buffer inputs = memory.allocate_array<StepInputs>("inputs", 1);
  const Buffer labels = memory.allocate_array<std::int32_t>("labels", kBatch);
  Executor inference(memory, setup.test.model.network(), setup.test.model.parameters(), kBatch, DType::f32,
                     ExecutionMode::inference);
  std::map<std::string, double> means;
  for (int batch = 0; batch < batches; ++batch) {
    const StepInputs step{.first_sample = std::int64_t{batch} * kBatch};
    setup.backend.upload(inputs.data(), &step, sizeof(step));
    setup.backend.augment({plain_input(tiny_input()), setup.source.samples(), inputs.as<StepInputs>(), kBatch,
                           inference.images(kBatch), labels.as<std::int32_t>()});
    inference.forward(kBatch);
    const auto& nodes = setup.test.model.network().nodes();
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const auto* norm = dynamic_cast<const NormAct*>(nodes[i].layer.get());
      if (norm == nullptr || norm->options().act_bits == 0) continue;
      const std::string name = setup.test.model.network().states()[static_cast<std::size_t>(norm->act_scale())].name;
      const float* unit = inference.tensor(static_cast<TensorId>(i) + 1, kBatch).unit.activation;
      means[name] += double{download_array(setup.backend, unit, 1)[0]} * ((1 << kBits) - 1) / batches;
    }
  }
  return means;
}

}  // namespace

TEST_CASE("a calibrated scale is the mean over the batches of the largest activation") {
  for_each_device([](Backend& backend) {
    Calibration setup(backend);
    for (const auto& [name, scale] : setup.scales()) CHECK(scale == -1);  // not yet
    setup.calibrator(3).run();
    const std::map<std::string, float> scales = setup.scales();
    const std::map<std::string, double> expected = means_by_hand(setup, 3);
    CHECK(scales.size() == 6);  // two a block
    REQUIRE(expected.size() == scales.size());
    for (const auto& [name, scale] : scales) {
      INFO(name);
      CHECK(scale > 0);
      CHECK(double{scale} == Approx(expected.at(name)).epsilon(relative_tolerance(DType::f32)));
    }
  });
}

TEST_CASE("calibration takes no more batches than there are, and comes to the same again") {
  for_each_device([](Backend& backend) {
    Calibration setup(backend);
    setup.calibrator(1000).run();
    const std::map<std::string, float> once = setup.scales();
    Calibrator again = setup.calibrator(4);  // 18 pictures, batches of 4
    again.run();
    again.run();
    CHECK(setup.scales() == once);
  });
}

TEST_CASE("with calibrated scales the batch size is no part of the result, with those of batches it is") {
  for_each_device([](Backend& backend) {
    Calibration setup(backend);
    setup.calibrator(2).run();
    ResidentSource pictures(setup.test.memory, tiny_pictures("test", 24), "test");
    std::vector<double> calibrated;
    std::vector<double> batch_max;
    for (const int batch : {1, 5, 24}) {
      Evaluator evaluator(setup.test.memory, setup.test.model, pictures, tiny_input(), batch, alone());
      calibrated.push_back(evaluator.run(ActScale::calibrated).loss_sum);
      batch_max.push_back(evaluator.run(ActScale::batch_max).loss_sum);
    }
    CHECK(calibrated[1] == Approx(calibrated[0]).epsilon(1e-6));
    CHECK(calibrated[2] == Approx(calibrated[0]).epsilon(1e-6));
    CHECK(batch_max[0] != Approx(batch_max[2]).epsilon(1e-4));
    CHECK(calibrated[2] != Approx(batch_max[2]).epsilon(1e-6));
  });
}

TEST_CASE("calibrated scales are part of a checkpoint, which loads with and without them") {
  for_each_device([](Backend& backend) {
    Calibration setup(backend);
    setup.calibrator(2).run();
    TensorFile file = setup.test.model.save();
    Calibration other(backend);
    check_names(file, other.test.model.network());
    other.test.model.load_plain(file);
    CHECK(other.scales() == setup.scales());

    ResNetOptions without = quantized_resnet();
    without.static_act_scales = false;
    TestModel plain(backend, make_resnet(without), start_as_planes());
    check_names(file, plain.model.network());
    plain.model.load_plain(file);
    std::erase_if(file.tensors, [](const HostTensor& tensor) { return tensor.name.ends_with(".act_scale"); });
    Calibration third(backend);
    check_names(file, third.test.model.network());
    third.test.model.load_plain(file);
    for (const auto& [name, scale] : third.scales()) CHECK(scale == -1);
  });
}

}  // namespace bsq::test
