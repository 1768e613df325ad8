// Activations whose steps are learned: what their ceilings begin with, and that experiments with them resume to the
// same bits.
#include "engine/network/layers/norm_act.h"
#include "engine/training/lsq_ceilings.h"
#include "tests/engine/training/experiment_support.h"
#include "tests/support/engine.h"

#include <cmath>

namespace bsq::test {
namespace {

constexpr int kLsqBits = 2;
const FirstImages kFirstImages{.input = {}, .count = 6, .seed = 5};

FirstImages first_images() {
  FirstImages images = kFirstImages;
  images.input = tiny_input();
  return images;
}

std::map<std::string, float> ceilings_of(const TensorFile& file) {
  std::map<std::string, float> ceilings;
  for (const HostTensor& tensor : file.tensors)
    if (tensor.name.ends_with(".ceiling")) ceilings[tensor.name] = values_of(file, tensor.name).at(0);
  return ceilings;
}

/// mean(y) of layer1.0.relu1, the first that is quantized: of a float network of the same weights.
double mean_of_first(Backend& backend, ResidentSource& source) {
  TestModel plain(backend, make_resnet(tiny_resnet(Activation::relu, 0)));
  DeviceMemory& memory = plain.memory;
  Executor executor(memory, plain.model.network(), plain.model.parameters(), kFirstImages.count, DType::f32,
                    ExecutionMode::tracing);
  const Buffer inputs = memory.allocate_array<StepInputs>("inputs", 1);
  const Buffer labels = memory.allocate_array<std::int32_t>("labels", kFirstImages.count);
  const StepInputs step{};
  backend.upload(inputs.data(), &step, sizeof(step));
  backend.augment({plain_input(tiny_input()), source.rows(), inputs.as<StepInputs>(), kFirstImages.count,
                   executor.images(kFirstImages.count), labels.as<std::int32_t>()});
  executor.forward(kFirstImages.count);
  const auto& nodes = plain.model.network().nodes();
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto* norm = dynamic_cast<const NormAct*>(nodes[i].layer.get());
    if (norm == nullptr || norm->options().activation_name != "layer1.0.relu1") continue;
    const std::vector<float> y =
        download_view(backend, executor.tensor(static_cast<TensorId>(i) + 1, kFirstImages.count));
    double sum = 0;
    for (const float value : y) sum += double{value};
    return sum / static_cast<double>(y.size());
  }
  FAIL("no layer1.0.relu1");
  return 0;
}

Config lsq_config() {
  Config config = tiny_config();
  config.quant.activation = "lsq";
  config.stages = {"pretrain", "lsq", "finetune"};
  config.stage("pretrain").epochs = 1;
  config.stage("pretrain").milestones = {};
  config.stage("lsq").epochs = 2;
  config.stage("lsq").ema = 0.75;
  config.stage("finetune").epochs = 1;
  config.stage("finetune").milestones = {};
  return config;
}

}  // namespace

TEST_CASE("a ceiling begins with 2 mean(y) sqrt(2^k - 1) of the first images, behind layers that have theirs") {
  for_each_device([](Backend& backend) {
    TestModel test(backend, make_resnet(tiny_resnet(Activation::lsq, kLsqBits)));
    ResidentSource source(test.memory, tiny_pictures("first", 18), "training");
    const std::vector<ParameterId> missing = missing_ceilings(test.model.network(), nullptr);
    CHECK(missing.size() == 6);  // two a block
    find_ceilings(backend, test.model, source, first_images(), missing, alone());
    const std::map<std::string, float> found = ceilings_of(test.model.save());
    REQUIRE(found.size() == 6);
    CHECK(double{found.at("layer1.0.relu1.ceiling")} ==
          Approx(2 * mean_of_first(backend, source) * std::sqrt(3.0)).epsilon(relative_tolerance(DType::f32)));
    for (const auto& [name, ceiling] : found) {
      INFO(name);
      CHECK(ceiling > 0);
      CHECK(ceiling != 6);
    }

    // Once more, with all but one: the others stay, and it comes to the same.
    TensorFile file = test.model.save();
    std::erase_if(file.tensors, [](const HostTensor& tensor) { return tensor.name == "layer2.0.relu2.ceiling"; });
    TestModel again(backend, make_resnet(tiny_resnet(Activation::lsq, kLsqBits)));
    again.model.load_plain(file);
    const std::vector<ParameterId> one = missing_ceilings(again.model.network(), &file);
    REQUIRE(one.size() == 1);
    find_ceilings(backend, again.model, source, first_images(), one, alone());
    CHECK(ceilings_of(again.model.save()) == found);
  });
}

TEST_CASE("a step and an offset of LSQ+ begin with the least and the largest number of the first images") {
  const NetworkSpec spec = spec_from_text(R"({"name": "signed", "image": [8, 8, 3], "nodes": [
    {"name": "conv1", "layer": "conv2d", "out": 4, "quantized": true},
    {"name": "bn1", "layer": "norm_act", "activation": "none"}, {"name": "q", "layer": "quantize"},
    {"name": "conv2", "layer": "conv2d", "out": 4, "quantized": true},
    {"name": "bn2", "layer": "norm_act", "quantized": true},
    {"name": "pool", "layer": "average_pool"}, {"name": "fc", "layer": "linear", "out": 3, "quantized": true}]})");
  for_each_device([&](Backend& backend) {
    TestModel test(backend,
                   build_network(spec, {.activation = Activation::lsq, .act_bits = 2, .quantizes_signed = true}));
    ResidentSource source(test.memory, tiny_pictures("first", 18), "training");
    const std::vector<ParameterId> missing = missing_ceilings(test.model.network(), nullptr);
    REQUIRE(missing.size() == 2);
    find_ceilings(backend, test.model, source, first_images(), missing, alone());
    const TensorFile found = test.model.save();
    const double step = double{values_of(found, "q.step").at(0)}, offset = double{values_of(found, "q.offset").at(0)};

    // With the levels in place all numbers lie on four of them, and both ends are taken.
    Executor executor(test.memory, test.model.network(), test.model.parameters(), kFirstImages.count, DType::f32,
                      ExecutionMode::tracing);
    const Buffer inputs = test.memory.allocate_array<StepInputs>("inputs", 1);
    const Buffer labels = test.memory.allocate_array<std::int32_t>("labels", kFirstImages.count);
    const StepInputs first{};
    backend.upload(inputs.data(), &first, sizeof(first));
    backend.augment({plain_input(tiny_input()), source.rows(), inputs.as<StepInputs>(), kFirstImages.count,
                     executor.images(kFirstImages.count), labels.as<std::int32_t>()});
    executor.forward(kFirstImages.count);
    const auto extremes_of = [&](TensorId tensor) {
      const std::vector<float> numbers = download_view(backend, executor.tensor(tensor, kFirstImages.count));
      const auto [least, largest] = std::ranges::minmax(numbers);
      return std::pair(double{least}, double{largest});
    };
    const double within = relative_tolerance(DType::f32);
    CHECK(extremes_of(2).first == Approx(offset).epsilon(within));
    CHECK(extremes_of(2).second == Approx(offset + 3 * step).epsilon(within));
    CHECK(offset < 0);
    CHECK(extremes_of(3).first == Approx(offset).epsilon(within));
    CHECK(extremes_of(3).second == Approx(offset + 3 * step).epsilon(within));
    CHECK(values_of(found, "bn2.act.ceiling").at(0) != 6);
  });
}

TEST_CASE("steps of activations are learned from where they begin, and stages hand them on") {
  ExperimentRuns runs(lsq_config());
  REQUIRE(runs.run() == StageOutcome::done);
  const auto model_of = [&](const std::string& stage) {
    return ceilings_of(runs.checkpoint(stage).tensors.at("model.safetensors"));
  };
  CHECK(model_of("pretrain").empty());
  const std::map<std::string, float> trained = model_of("lsq"), finetuned = model_of("finetune");
  REQUIRE(trained.size() == 6);
  REQUIRE(finetuned.size() == 6);
  for (const auto& [name, ceiling] : trained) {
    INFO(name);
    CHECK(ceiling > 0);
    CHECK(finetuned.at(name) > 0);
    CHECK(finetuned.at(name) != ceiling);
    CHECK(std::abs(std::log(finetuned.at(name) / ceiling)) < 1);  // not begun anew, nor left to itself
  }
}

TEST_CASE("a run whose activations learn their steps is stopped anywhere, or killed, and comes to the same bits") {
  const Config config = lsq_config();
  check_interrupted_runs(config, 3 * (1 + 2 + 1), {.first_stop = 1, .first_kill = 3, .kill_every = 2});
}

TEST_CASE("an activation that learns its step and quantizes nothing is relu") {
  CHECK(block_activation({.act_bits = 0, .activation = "lsq"}) == "relu");
  CHECK(block_activation({.act_bits = 4, .activation = "lsq"}) == "lsq");
  const Network network = make_resnet(tiny_resnet(Activation::lsq, 0));
  CHECK(missing_ceilings(network, nullptr).empty());
}

}  // namespace bsq::test
