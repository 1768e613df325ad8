// The packed format: every weight comes back bit for bit, the bytes lie as the header says, the file is as small as its
// ratio claims, and a damaged one is refused by name.
#include "engine/model/bit_summary.h"
#include "engine/model/model.h"
#include "engine/methods/packed_model.h"
#include "tests/support/catch.h"
#include "tests/support/engine.h"
#include "tests/support/files.h"

#include <nlohmann/json.hpp>

namespace bsq::test {
namespace {

/// A model file of this network with these weights, as a checkpoint has it.
TensorFile model_file(const Network& network, const Weights& weights) {
  RandomTensors random("plain numbers");
  TensorFile file;
  file.path = "m.safetensors";
  file.metadata = {{"form", std::string(weights->form())}, {"act_bits", "4"}, {"activation", "relu6"}};
  const auto add = [&](const std::string& name, const std::vector<std::int64_t>& shape, std::int64_t numel) {
    file.tensors.push_back(HostTensor::from<float>(name, shape, random.uniform(numel, 0.5F, 2.0F)));
  };
  for (const ParameterSpec& spec : network.parameters())
    if (spec.group == ParameterGroup::plain) add(spec.name, file_shape(spec.shape), spec.shape.numel());
  for (const StateSpec& state : network.states()) add(state.name, {state.numel}, state.numel);
  const std::int64_t counter = 7;
  file.tensors.push_back(HostTensor::from<std::int64_t>("bn1.num_batches_tracked", {}, std::span(&counter, 1)));
  return file;
}

ArenaLayout layout_of(const Network& network) {
  return lay_out(network.parameters(), ParameterGroup::quantized);
}

/// Random levels within +-(2^bits - 1), the largest among them; 0 bits: pruned.
FixedPoint random_fixed(RandomTensors& random, std::int64_t numel, int bits) {
  FixedPoint fixed{bits, 0.37F, std::vector<float>(static_cast<std::size_t>(numel))};
  if (bits == 0) return fixed;
  const int most = (1 << bits) - 1;
  const std::vector<std::int32_t> levels = random.integers(numel, static_cast<std::uint32_t>(2 * most + 1));
  for (std::size_t i = 0; i < levels.size(); ++i)
    fixed.u[i] = static_cast<float>(levels[i] - most) / static_cast<float>(most);
  fixed.u[0] = 1;
  fixed.u[1] = -1;
  return fixed;
}

Weights random_weights(const ArenaLayout& layout, const std::function<int(std::size_t)>& bits_of) {
  RandomTensors random("levels");
  std::vector<FixedPoint> weights;
  for (std::size_t i = 0; i < layout.slots.size(); ++i)
    weights.push_back(random_fixed(random, layout.slots[i].spec.shape.numel(), bits_of(i)));
  return as_weights(weights);
}

TensorFile through_disk(const TensorFile& file) {
  const TemporaryFolder folder;
  write_safetensors(folder / "p.safetensors", file);
  return read_safetensors(folder / "p.safetensors");
}

}  // namespace

TEST_CASE("a packed model holds every weight of every width bit for bit, and all else as it was") {
  const int bits = GENERATE(range(0, 9));
  const bool as_planes = GENERATE(false, true);
  INFO(bits << " bits, as " << (as_planes ? "planes" : "fixed"));
  const Network network = make_resnet(tiny_resnet());
  const ArenaLayout layout = layout_of(network);
  Weights weights = random_weights(layout, [&](std::size_t i) { return i == 1 ? 8 - bits : bits; });
  if (as_planes) weights = StoredPlanes::convert(weights, {});
  const TensorFile model = model_file(network, weights);
  const TensorFile packed = through_disk(pack(model, integer_weights(*weights, layout)));
  CHECK(is_packed(packed));
  CHECK_FALSE(is_packed(model));
  const TensorFile back = unpack(packed);
  CHECK(back.metadata.at("form") == "planes");
  CHECK(back.metadata.at("activation") == "relu6");
  check_names(back, network);
  const DenseTensors expected = to_dense(weights), found = to_dense(read_weights(back, layout, kMaxBits));
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(found[i] == expected[i]);
  std::size_t floats = 0;
  for (const HostTensor& tensor : model.tensors) {
    if (tensor.dtype != DType::f32) continue;
    CHECK(back.at(tensor.name).bytes == tensor.bytes);
    CHECK(back.at(tensor.name).shape == tensor.shape);
    ++floats;
  }
  CHECK(floats == network.states().size() + lay_out(network.parameters(), ParameterGroup::plain).slots.size());
  CHECK((packed.find(layout.slots[0].spec.name) == nullptr) == (bits == 0));
}

TEST_CASE("bits lie as the format says: signs first, then planes from the most significant, elements from bit 0") {
  const IntegerTensor tensor{"fc.weight", {1, 10}, 3, 2.0F, {5, -1, 0, 7, -7, 2, 0, -4, 3, -6}};
  const TensorFile packed = pack({}, {tensor});
  const HostTensor& bits = packed.at("fc.weight");
  CHECK(bits.shape == std::vector<std::int64_t>{4, 2});
  const auto bytes = bits.values<std::uint8_t>();
  const std::vector<std::uint8_t> expected = {0b10010010, 0b10, 0b10011001, 0b10, 0b00111000, 0b11, 0b00011011, 0b01};
  CHECK(std::vector<std::uint8_t>(bytes.begin(), bytes.end()) == expected);
  CHECK(packed.metadata.at("quantized") == "fc.weight 1x10 3");
  CHECK(values_of(packed, "scales") == std::vector<float>{2});
  const TensorFile zero = pack({}, {{"fc.bias", {2}, 1, 0.5F, {0, 0}}});
  CHECK(zero.metadata.at("quantized") == "fc.bias 2 1 zero");
  CHECK(zero.find("fc.bias") == nullptr);
}

TEST_CASE("a ResNet-20 of 2.25 bits per weight takes what its ratio claims, within 5 % for names and shapes") {
  const Network network = make_resnet({.depth = 20, .act_bits = 4});
  const ArenaLayout layout = layout_of(network);
  const std::int64_t third_bits = layout.parameters / 4;  // a quarter of the weights has 3 bits, the others have 2
  std::int64_t threes = 0;
  Weights weights = random_weights(layout, [&](std::size_t i) {
    const std::int64_t numel = layout.slots[i].spec.shape.numel();
    if (threes + numel > third_bits) return 2;
    threes += numel;
    return 3;
  });
  const BitSummary summary = summarize_bits(*weights, network);
  REQUIRE(summary.bits_per_parameter() == Approx(2.25).margin(0.01));
  TensorFile model = model_file(network, weights);
  model.metadata["class_names"] =
      R"(["airplane","automobile","bird","cat","deer","dog","frog","horse","ship","truck"])";
  const TemporaryFolder folder;
  write_safetensors(folder / "p.safetensors", pack(model, integer_weights(*weights, layout)));
  const auto bytes = static_cast<double>(fs::file_size(folder / "p.safetensors"));
  const double claimed = static_cast<double>(summary.weight_bits + summary.parameters) / 8 +
                         4.0 * static_cast<double>(summary.float_parameters);
  INFO(bytes << " bytes, " << claimed << " claimed");
  CHECK(bytes > claimed);
  CHECK(bytes < 1.05 * claimed);
}

TEST_CASE("what a file has beside bits and signs is known before there is one, to what a header may need less") {
  const int bits = GENERATE(1, 2, 8);
  for (const ResNetOptions& options : {tiny_resnet(), ResNetOptions{.depth = 20, .act_bits = 4}}) {
    const Network network = make_resnet(options);
    const ArenaLayout layout = layout_of(network);
    const Weights weights = random_weights(layout, [&](std::size_t i) { return i == 1 ? 9 - bits : bits; });
    const TensorFile model = model_file(network, weights);
    std::int64_t rows = 0;
    for (std::size_t i = 0; i < layout.slots.size(); ++i)
      rows += (weights->bits(i) + 1) * ((layout.slots[i].spec.shape.numel() + 7) / 8);
    const auto bytes = static_cast<std::int64_t>(safetensors_bytes(pack(model, integer_weights(*weights, layout))));
    const std::int64_t most = packed_rest_bytes(network, read_card(model)) + rows;
    CHECK(bytes <= most);
    CHECK(bytes > most - 16 * static_cast<std::int64_t>(layout.slots.size()) - 16);
  }
}

TEST_CASE("a damaged packed model is refused with a sentence") {
  const Network network = make_resnet(tiny_resnet());
  const ArenaLayout layout = layout_of(network);
  const Weights weights = random_weights(layout, [](std::size_t) { return 3; });
  const TensorFile whole = pack(model_file(network, weights), integer_weights(*weights, layout));
  const auto refused = [&](const auto& damage) {
    TensorFile file = whole;
    file.path = "p.safetensors";
    damage(file);
    return error_of(ErrorKind::checkpoint, [&] { unpack(file); });
  };
  const auto list = [&](const std::string& text) {
    return refused([&](TensorFile& file) { file.metadata["quantized"] = text; });
  };
  CHECK_THAT(refused([](TensorFile& file) { file.metadata.erase("float"); }),
             Catch::Contains("p.safetensors: packed model: no 'float' in the metadata; the file is damaged"));
  for (const char* bad :
       {"conv1.weight", "conv1.weight 4x3x3x3", "conv1.weight 4x3x3x3 9", "conv1.weight 4x0 3", "conv1.weight 4x-3 3",
        "conv1.weight 4xx3 3", "conv1.weight 4x3x3x3 3 zeros", "conv1.weight 4x3x3x3 0",
        "conv1.weight 99999999999999999999 3", "conv1.weight 1048576x1048576x1048576 3", " ", ","})
    CHECK_THAT(list(bad), Catch::Contains("is no entry"));
  CHECK_THAT(list("a 2 1 zero,a 2 1 zero"), Catch::Contains("has a twice"));
  CHECK_THAT(list("a 16777217 1 zero"), Catch::Contains("more than 16777216 bits of weights that are zero"));
  CHECK_THAT(list("a 2097153 8 zero"), Catch::Contains("more than 16777216 bits of weights that are zero"));
  CHECK_THAT(list("conv1.weight 4x3x3x3 3"), Catch::Contains("numbers in 'scales', 1 by the list"));
  CHECK_THAT(refused([&](TensorFile& file) {
               const std::string& text = file.metadata["quantized"];
               file.metadata["quantized"] = "conv1.weight 4x3x3x3 4" + text.substr(text.find(','));
             }),
             Catch::Contains("conv1.weight has shape (4, 14), its bits take (5, 14)"));
  CHECK_THAT(refused([&](TensorFile& file) {  // 16 TiB, if they were believed
               const std::string& text = file.metadata["quantized"];
               file.metadata["quantized"] = "conv1.weight 1048576x1048576 2" + text.substr(text.find(','));
             }),
             Catch::Contains("conv1.weight has shape (4, 14), its bits take (3, 137438953472)"));
  CHECK_THAT(refused([](TensorFile& file) { file.tensors.erase(file.tensors.begin()); }),
             Catch::Contains("conv1.weight"));
  CHECK_THAT(refused([](TensorFile& file) { file.metadata["float"] += ",more 5"; }), Catch::Contains("by the list"));
}

}  // namespace bsq::test
