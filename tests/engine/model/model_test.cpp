// A model and its files: running statistics, the count of batches, PACT ceilings, names of other spellings, and what is
// said where a file does not fit.
#include "engine/model/model.h"

#include "engine/model/tensor_names.h"
#include "tests/support/engine.h"
#include "tests/support/files.h"

namespace bsq::test {
namespace {

/// Mean and unbiased variance of a channel of an NHWC tensor.
std::pair<double, double> statistics_of(const std::vector<float>& values, std::size_t channels, std::size_t channel) {
  double mean = 0;
  double squares = 0;
  const auto rows = static_cast<double>(values.size() / channels);
  for (std::size_t i = channel; i < values.size(); i += channels) mean += double{values[i]} / rows;
  for (std::size_t i = channel; i < values.size(); i += channels) squares += std::pow(double{values[i]} - mean, 2);
  return {mean, squares / (rows - 1)};
}

Network tiny(Activation activation = Activation::relu6, int act_bits = 0) {
  return make_resnet(tiny_resnet(activation, act_bits));
}

void remove(TensorFile& file, const std::string& name) {
  std::erase_if(file.tensors, [&](const HostTensor& tensor) { return tensor.name == name; });
}

std::int64_t counter_of(const TensorFile& file, const std::string& module) {
  return file.at(module + ".num_batches_tracked").values<std::int64_t>()[0];
}

}  // namespace

TEST_CASE("running statistics move a tenth of the way to each batch, with the unbiased variance") {
  for_each_device([](Backend& backend) {
    TestModel test(backend, tiny());
    Executor executor(test.memory, test.model.network(), test.model.parameters(), 3, DType::f32,
                      ExecutionMode::training, {2});
    std::vector<double> mean(4, 0.0);
    std::vector<double> variance(4, 1.0);
    for (const int batch : {3, 2, 3}) {
      const TensorView images = executor.images(batch);
      upload_array(backend, images.as<float>(),
                   RandomTensors("batch of " + std::to_string(batch)).normal(images.shape.numel(), 0.3F, 1));
      executor.forward(batch);
      const std::vector<float> convolved = download_view(backend, executor.tensor(1, batch));
      for (std::size_t channel = 0; channel < 4; ++channel) {
        const auto [batch_mean, batch_variance] = statistics_of(convolved, 4, channel);
        mean[channel] = 0.9 * mean[channel] + 0.1 * batch_mean;
        variance[channel] = 0.9 * variance[channel] + 0.1 * batch_variance;
      }
    }
    const TensorFile file = test.model.save();
    for (const auto& [name, expected] : {std::pair{"bn1.running_mean", mean}, std::pair{"bn1.running_var", variance}}) {
      const Comparison comparison =
          compare_scaled(to_doubles(values_of(file, name)), expected, relative_tolerance(DType::f32));
      INFO(name << ": " << comparison.report());
      CHECK(comparison.ok());
    }
  });
}

TEST_CASE("num_batches_tracked counts the training steps of every norm and survives a file") {
  const auto oracle = make_reference_backend();
  TestModel test(*oracle, tiny());
  ResidentSource source(test.memory, tiny_pictures("counted", 6), "training");
  source.begin_epoch({0, 1, 2, 3, 4, 5});
  TrainingStep step(test.memory, test.model, source,
                    {.augment = plain_input(tiny_input()), .rule = {}, .batch_size = 2, .metrics_slots = 1}, alone());
  for (int i = 0; i < 5; ++i) step.run(2, {.learning_rate = 0.01F});
  const TensorFile file = test.model.save();
  for (const std::string module : {"bn1", "layer1.0.bn2", "layer3.0.downsample.1"})
    CHECK(counter_of(file, module) == 5);
  Evaluator(test.memory, test.model, source, tiny_input(), 2, alone()).run();
  CHECK(test.model.batches_tracked == 5);

  TestModel copy(*oracle, tiny());
  copy.model.load_plain(file);
  CHECK(copy.model.batches_tracked == 5);
  CHECK(counter_of(copy.model.save(), "layer2.0.bn1") == 5);
}

TEST_CASE("plain parameters and statistics come back from a file bit for bit") {
  for_each_device([](Backend& backend) {
    TestModel test(backend, tiny(Activation::pact, 2), start_as_planes());
    ResidentSource source(test.memory, tiny_pictures("trained", 6), "training");
    source.begin_epoch({0, 1, 2, 3, 4, 5});
    TrainingStep step(test.memory, test.model, source,
                      {.augment = plain_input(tiny_input()), .rule = {}, .batch_size = 6, .metrics_slots = 1}, alone());
    for (int i = 0; i < 3; ++i) step.run(6, {.learning_rate = 0.1F});
    const TensorFile file = test.model.save();
    TestModel copy(backend, tiny(Activation::pact, 2),
                   [&](const ArenaLayout& layout) { return read_weights(file, layout, 8); });
    copy.model.load_plain(file);
    CHECK(different_tensors(copy.model.save().tensors, file.tensors).empty());
    copy.model.load_momentum(test.model.save_momentum());
    CHECK(different_tensors(copy.model.save_momentum().tensors, test.model.save_momentum().tensors).empty());
  });
}

TEST_CASE("PACT ceilings are loaded where a file has them and start at 10 where it has none") {
  const auto oracle = make_reference_backend();
  const TestModel relu6(*oracle, tiny(Activation::relu6));
  TestModel pact(*oracle, tiny(Activation::pact, 2));
  CHECK_NOTHROW(check_names(relu6.model.save(), pact.model.network()));
  pact.model.load_plain(relu6.model.save());
  CHECK(values_of(pact.model.save(), "layer1.0.relu1.alpha") == std::vector<float>{10});

  TensorFile learned = pact.model.save();
  for (HostTensor& tensor : learned.tensors)
    if (tensor.name == "layer2.0.relu2.alpha")
      tensor = HostTensor::from<float>(tensor.name, {1}, std::vector<float>{3.5F});
  pact.model.load_plain(learned);
  CHECK(values_of(pact.model.save(), "layer2.0.relu2.alpha") == std::vector<float>{3.5F});
  CHECK(values_of(pact.model.save(), "layer2.0.relu1.alpha") == std::vector<float>{10});

  // A network without ceilings passes over those of a file.
  TestModel other(*oracle, tiny(Activation::relu6));
  CHECK_NOTHROW(check_names(learned, other.model.network()));
  CHECK_NOTHROW(other.model.load_plain(learned));
}

TEST_CASE("a float file of a quantized model is that model with plain weights") {
  const auto oracle = make_reference_backend();
  for (const auto& weights : {start_as_planes(5), start_as_fixed(3)}) {
    TestModel test(*oracle, tiny(), weights);
    const TensorFile file = save_as(test.model, "float");
    CHECK(file.metadata.at("form") == "float");
    CHECK(file.metadata.count("scheme") == 0);
    CHECK_NOTHROW(check_names(file, test.model.network()));
    TestModel loaded(*oracle, tiny(), [&](const ArenaLayout& layout) { return read_weights(file, layout, 8); });
    CHECK(to_dense(loaded.model.weights()) == to_dense(test.model.weights()));
  }
}

TEST_CASE("fixed-point weights are handed on as bit planes of the same weights") {
  const auto oracle = make_reference_backend();
  TestModel fixed(*oracle, tiny(), start_as_fixed(3));
  const TensorFile file = save_as(fixed.model, "planes");
  CHECK(file.metadata.at("form") == "planes");
  CHECK_NOTHROW(check_names(file, fixed.model.network()));
  const ArenaLayout& layout = fixed.model.quantized_layout();
  CHECK(to_dense(read_weights(file, layout, 8)) == to_dense(fixed.model.weights()));
  CHECK(file.metadata.at("scheme") == scheme_to_json(*read_weights(file, layout, 8), layout));
}

TEST_CASE("names of the two other common spellings are understood, and every renaming is told") {
  TensorFile file;
  for (const char* name :
       {"module.conv1.weight", "layer2.0.shortcut.0.weight", "module.layer3.0.shortcut.1.bias", "linear.weight",
        "module.linear.bias", "layer1.0.conv1.weight", "fc.scale", "nonlinear.weight"})
    file.tensors.push_back(HostTensor::from<float>(name, {0}, {}));
  CHECK(normalize_names(file) ==
        std::vector<std::string>{"module.conv1.weight -> conv1.weight",
                                 "layer2.0.shortcut.0.weight -> layer2.0.downsample.0.weight",
                                 "module.layer3.0.shortcut.1.bias -> layer3.0.downsample.1.bias",
                                 "linear.weight -> fc.weight", "module.linear.bias -> fc.bias"});
  CHECK(file.find("layer3.0.downsample.1.bias") != nullptr);
  CHECK(file.find("fc.bias") != nullptr);
  CHECK(file.find("nonlinear.weight") != nullptr);
  CHECK(normalize_names(file).empty());
}

TEST_CASE(
    "what wrappers put before names is taken off, in any order and around a part, and two of one name are refused") {
  const auto named = [](const std::vector<std::string>& names) {
    TensorFile file;
    file.path = "m.safetensors";
    for (const std::string& name : names) file.tensors.push_back(HostTensor::from<float>(name, {0}, {}));
    return file;
  };
  const auto after = [&](const std::vector<std::string>& names) {
    TensorFile file = named(names);
    normalize_names(file);
    std::vector<std::string> found;
    for (const HostTensor& tensor : file.tensors) found.push_back(tensor.name);
    return found;
  };
  const std::vector<std::string> plain = {"conv1.weight", "layer1.0.conv1.weight", "fc.bias"};
  for (const char* prefix : {"_orig_mod.", "model.", "module._orig_mod.", "_orig_mod.module.",
                             "model._orig_mod.module.", "net.", "model.backbone.", "module.model."}) {
    std::vector<std::string> wrapped;
    for (const std::string& name : plain) wrapped.push_back(prefix + name);
    CHECK(after(wrapped) == plain);
  }
  CHECK(after({"conv1.weight", "layer1._orig_mod.0.conv1.weight", "layer2.module.0.conv1.weight"}) ==
        std::vector<std::string>{"conv1.weight", "layer1.0.conv1.weight", "layer2.0.conv1.weight"});
  CHECK(after({"module.conv1.weight", "n_averaged"}) == std::vector<std::string>{"conv1.weight", "n_averaged"});
  CHECK(after({"fc.weight", "fc.bias"}) == std::vector<std::string>{"fc.weight", "fc.bias"});
  CHECK(after({"submodule.weight", "a.b"}) == std::vector<std::string>{"submodule.weight", "a.b"});
  TensorFile twice = named({"conv1.weight", "module.conv1.weight"});
  CHECK(
      error_of(ErrorKind::checkpoint, [&] { normalize_names(twice); }) ==
      "m.safetensors: two tensors are conv1.weight without their prefixes, one of them module.conv1.weight; are there "
      "two sets of weights in the file?");
}

TEST_CASE("a variance below zero is refused with its name") {
  const auto oracle = make_reference_backend();
  TestModel test(*oracle, tiny());
  TensorFile file = test.model.save();
  file.path = "m.safetensors";
  for (HostTensor& tensor : file.tensors) {
    if (tensor.name != "layer1.0.bn1.running_var") continue;
    const float below = -1e-6F;
    std::memcpy(tensor.bytes.data(), &below, sizeof(below));
  }
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { test.model.load_plain(file); }),
             Catch::StartsWith("m.safetensors: layer1.0.bn1.running_var has a variance of -1e-06, below zero"));
}

TEST_CASE("a file that does not fit is refused with every missing and every unexpected name") {
  const auto oracle = make_reference_backend();
  for (const auto& weights : {TestModel::MakeWeights{}, start_as_planes(), start_as_fixed(4)}) {
    TestModel test(*oracle, tiny(), weights);
    TensorFile file = test.model.save();
    file.path = "some.safetensors";
    CHECK_NOTHROW(check_names(file, test.model.network()));

    remove(file, "layer1.0.bn1.num_batches_tracked");  // old files have none
    CHECK_NOTHROW(check_names(file, test.model.network()));

    remove(file, "bn1.running_var");
    remove(file, "layer2.0.downsample.0.weight");
    file.tensors.push_back(HostTensor::from<float>("layer4.0.conv1.weight", {0}, {}));
    file.tensors.push_back(HostTensor::from<float>("extra", {0}, {}));
    CHECK(error_of(ErrorKind::checkpoint, [&] { check_names(file, test.model.network()); }) ==
          "some.safetensors: not a checkpoint of this network; missing: bn1.running_var, layer2.0.downsample.0.weight; "
          "unexpected: extra, layer4.0.conv1.weight");
  }
  TestModel planes(*oracle, tiny(), start_as_planes());
  TensorFile file = planes.model.save();
  remove(file, "fc.nweight");
  remove(file, "fc.biasscale");
  const std::string message = error_of(ErrorKind::checkpoint, [&] { check_names(file, planes.model.network()); });
  CHECK_THAT(message, Catch::Matchers::EndsWith("missing: fc.nweight, fc.biasscale"));
}

TEST_CASE("shapes of another network are refused before anything is loaded") {
  const auto oracle = make_reference_backend();
  ResNetOptions wider = tiny_resnet();
  wider.width = 6;
  const TestModel other(*oracle, make_resnet(wider));
  TestModel test(*oracle, tiny());
  TensorFile file = other.model.save();
  file.path = "wide.safetensors";
  const std::string message = error_of(ErrorKind::checkpoint, [&] { test.model.load_plain(file); });
  CHECK_THAT(message, Catch::Matchers::Contains("wide.safetensors: bn1.weight has shape (6), this network wants (4)"));

  TensorFile statistics = test.model.save();
  for (HostTensor& tensor : statistics.tensors)
    if (tensor.name == "bn1.running_mean") tensor = HostTensor::from<float>(tensor.name, {2, 2}, std::vector<float>(4));
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { test.model.load_plain(statistics); }),
             Catch::Matchers::Contains("bn1.running_mean has shape (2, 2), this network wants (4)"));
}

}  // namespace bsq::test
