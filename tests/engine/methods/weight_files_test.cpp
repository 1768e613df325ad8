// Weights and momentum to files and back in every form, and the conversions among the forms: exact wherever the
// algebra says so.
#include "tests/engine/methods/store_support.h"
#include "tests/support/files.h"

namespace bsq::test {
namespace {

std::vector<BitPlanes> trained(const ArenaLayout& layout) {
  return {trained_planes("a", 5, numel_of(layout.slots[0]), 0.5F),
          trained_planes("b", 8, numel_of(layout.slots[1]), 0.125F),
          trained_planes("c", 1, numel_of(layout.slots[2]), 3.0F)};
}

TensorFile through_disk(const TemporaryFolder& folder, const std::vector<HostTensor>& tensors,
                        const std::map<std::string, std::string>& metadata = {}) {
  TensorFile file;
  file.tensors = tensors;
  file.metadata = metadata;
  write_safetensors(folder / "x.safetensors", file);
  return read_safetensors(folder / "x.safetensors");
}

/// Effective weights as the store of this form gives them to the layers.
std::vector<std::vector<float>> materialized(Backend& backend, const Weights& weights) {
  StoreMemory store_memory(backend);
  const std::unique_ptr<WeightStore> store = store_of([&](const ArenaLayout&) { return weights; })(
      store_memory.memory, store_memory.layout, store_memory.gradients.as<float>());
  std::vector<std::vector<float>> result;
  for (std::size_t slot = 0; slot < store_memory.layout.slots.size(); ++slot)
    result.push_back(store_memory.values(*store, slot));
  return result;
}

bool same_planes(const std::vector<BitPlanes>& a, const std::vector<BitPlanes>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].bits != b[i].bits || a[i].scale != b[i].scale || a[i].p != b[i].p || a[i].n != b[i].n) return false;
  return a.size() == b.size();
}

}  // namespace

TEST_CASE("bit planes lie in files as [O, I, K, K, bits], most significant first, beside their scale") {
  const auto oracle = make_reference_backend();
  StoreMemory store_memory(*oracle);
  const ArenaLayout& layout = store_memory.layout;
  const auto planes = trained(layout);
  const PlaneWeights store(store_memory.memory, layout, store_memory.gradients.as<float>(), StoredPlanes(planes));
  TensorFile file;
  file.tensors = store_memory.saved(store);
  std::vector<std::string> names;
  for (const HostTensor& tensor : file.tensors) names.push_back(tensor.name);
  CHECK(names == std::vector<std::string>{"layer1.0.conv1.pweight", "layer1.0.conv1.nweight", "layer1.0.conv1.scale",
                                          "fc.pweight", "fc.nweight", "fc.scale", "fc.pbias", "fc.nbias",
                                          "fc.biasscale"});
  const HostTensor& conv = file.at("layer1.0.conv1.nweight");
  CHECK(conv.shape == std::vector<std::int64_t>{5, 5, 3, 3, 5});
  const auto values = conv.values<float>();
  bool in_place = true;
  std::size_t next = 0;
  for (std::size_t o = 0; o < 5; ++o)
    for (std::size_t i = 0; i < 5; ++i)
      for (std::size_t h = 0; h < 3; ++h)
        for (std::size_t w = 0; w < 3; ++w)
          for (std::size_t bit = 0; bit < 5; ++bit)
            in_place &= values[next++] == planes[0].n[bit * 225 + ((o * 3 + h) * 3 + w) * 5 + i];  // OHWI in memory
  CHECK(in_place);
  CHECK(file.at("fc.pbias").shape == std::vector<std::int64_t>{3, 1});
  CHECK(values_of(file, "fc.biasscale") == std::vector<float>{3});
}

TEST_CASE("weights and momentum of every form come back from a file bit for bit and train on alike") {
  const TemporaryFolder folder;
  const std::string form = GENERATE("float", "planes", "fixed", "lsq", "dorefa", "msq", "csq");
  INFO(form);
  for_each_device([&](Backend& backend) {
    StoreMemory first_memory(backend);
    StoreMemory second_memory(backend);
    const ArenaLayout& layout = first_memory.layout;
    const auto make = [&](StoreMemory& store_memory, const Weights& weights) {
      return store_of([&](const ArenaLayout&) { return weights; })(store_memory.memory, store_memory.layout,
                                                                   store_memory.gradients.as<float>());
    };
    const Weights start = convert_weights(form, as_weights(trained(layout)));
    const auto store = make(first_memory, start);
    take_steps(first_memory, *store, 0, 3);

    const TensorFile weights =
        through_disk(folder, first_memory.saved(*store), {{"scheme", scheme_to_json(*start, layout)}});
    const TensorFile momentum = through_disk(folder, first_memory.saved_momentum(*store));
    const Weights read = read_weights(weights, layout, 8);
    CHECK(read->form() == form);
    const auto copy = make(second_memory, read);
    copy->load_momentum(momentum);
    CHECK(different_tensors(second_memory.saved(*copy), first_memory.saved(*store)).empty());
    CHECK(different_tensors(second_memory.saved_momentum(*copy), first_memory.saved_momentum(*store)).empty());

    take_steps(first_memory, *store, 3, 2);
    take_steps(second_memory, *copy, 3, 2);
    CHECK(different_tensors(second_memory.saved(*copy), first_memory.saved(*store)).empty());
    CHECK_FALSE(different_tensors(first_memory.saved(*store), weights.tensors).empty());  // those steps moved something

    for (const HostTensor& tensor : momentum.tensors) CHECK(tensor.name.ends_with(".momentum_buffer"));
    const std::size_t without_momentum = form == "csq" ? layout.slots.size() : 0;  // the gates
    CHECK(momentum.tensors.size() + without_momentum == weights.tensors.size());
  });
}

TEST_CASE("planes, fixed point and planes again: the same effective weights, bit for bit") {
  const ArenaLayout layout = store_layout();
  const auto planes = trained(layout);
  const std::vector<FixedPoint> fixed = to_fixed(planes);
  const std::vector<BitPlanes> again = to_planes(fixed, {});
  CHECK(to_dense(fixed) == to_dense(planes));
  CHECK(to_dense(again) == to_dense(planes));
  CHECK(same_planes(to_planes(to_fixed(again), {}), again));  // binary planes survive the way there and back

  std::vector<BitPlanes> requantized = planes;
  for (BitPlanes& tensor : requantized) requantize(tensor, tensor.bits);
  CHECK(to_dense(requantized) == to_dense(planes));
  CHECK(same_planes(to_planes(to_fixed(requantized), {}), requantized));
}

TEST_CASE("layers see the same weights whatever the form, bit for bit on every backend") {
  const ArenaLayout layout = store_layout();
  const auto planes = trained(layout);
  const std::vector<FixedPoint> fixed = to_fixed(planes);
  for_each_device([&](Backend& backend) {
    const auto expected = materialized(backend, as_weights(planes));
    CHECK(materialized(backend, as_weights(fixed)) == expected);
    CHECK(materialized(backend, as_weights(to_planes(fixed))) == expected);
    const DenseTensors host = to_dense(planes);
    for (std::size_t slot = 0; slot < expected.size(); ++slot)
      check_close(host[slot], to_doubles(expected[slot]), "host");
  });
}

TEST_CASE("a float file of quantized weights converts back to the planes it came from") {
  const ArenaLayout layout = store_layout();
  std::vector<BitPlanes> planes = to_planes(initial_weights(layout, 3), {8, 5, 3});
  // The largest level of each tensor is the full one, so that the scale is max|W|.
  const std::vector<BitPlanes> again = to_planes(to_dense(planes), {8, 5, 3});
  CHECK(same_planes(again, planes));
  CHECK(to_dense(again) == to_dense(planes));
}

TEST_CASE("an empty tensor becomes 0 bits, and one empty plane again, with its scale") {
  const ArenaLayout layout = store_layout();
  std::vector<BitPlanes> planes = trained(layout);
  planes[1] = {3, 0.25F, numel_of(layout.slots[1]), {}, {}};
  planes[1].p.assign(3 * 21, 0.5F);  // equal on both sides: u is 0
  planes[1].n = planes[1].p;
  const std::vector<FixedPoint> fixed = to_fixed(planes);
  CHECK(fixed[1].bits == 0);
  CHECK(fixed[1].scale == 0.25F);
  CHECK(fixed[1].u == std::vector<float>(21));
  const std::vector<BitPlanes> again = to_planes(fixed, {});
  CHECK(again[1].bits == 1);
  CHECK(again[1].scale == 0.25F);
  CHECK(is_empty(again[1]));
  CHECK(to_dense(again) == to_dense(planes));
}

TEST_CASE("the scheme in the metadata names every layer and comes back, and one of another network is refused") {
  const ArenaLayout layout = store_layout();
  std::vector<FixedPoint> fixed = to_fixed(trained(layout));
  fixed[2].bits = 0;
  const std::string scheme = scheme_to_json(StoredFixedPoint(fixed), layout);
  CHECK(scheme == R"({"layer1.0.conv1":[5,0],"fc":[8,0]})");
  CHECK(scheme_from_json(scheme, layout, "x") == std::vector<int>{5, 8, 0});
  for (const std::string bad : {"", "null", "[]", "{}", R"({"fc":[8,8]})", R"({"layer1.0.conv1":[5,0],"fc":[9,0]})",
                                R"({"layer1.0.conv1":[-1,0],"fc":[8,0]})", R"({"layer1.0.conv1":[5],"fc":[8,0]})",
                                R"({"layer1.0.conv1":["5",0],"fc":[8,0]})", R"({"layer1.0.conv1":5,"fc":[8,0]})",
                                R"({"layer1.0.conv1":[5.5,0],"fc":[8,0]})"}) {
    INFO(bad);
    const std::string message = error_of(ErrorKind::checkpoint, [&] { scheme_from_json(bad, layout, "my file"); });
    CHECK_THAT(message, Catch::Matchers::StartsWith("my file: the scheme gives no width in 0..8 for "));
  }
}

TEST_CASE("files that do not fit the network are refused by name") {
  const auto oracle = make_reference_backend();
  StoreMemory store_memory(*oracle);
  const ArenaLayout& layout = store_memory.layout;
  const auto refused = [&](const TensorFile& file, int max_bits = 8) {
    return error_of(ErrorKind::checkpoint, [&] { read_weights(file, layout, max_bits); });
  };
  TensorFile planes;
  planes.path = "p.safetensors";
  planes.tensors = StoredPlanes(trained(layout)).tensors(layout);
  CHECK_THAT(refused(planes, 7), Catch::Matchers::Contains("fc.pweight has 8 bit planes, expected 1..7"));

  TensorFile one_missing = planes;
  one_missing.tensors.erase(one_missing.tensors.begin() + 4);
  CHECK_THAT(refused(one_missing), Catch::Matchers::Contains("fc.nweight"));

  TensorFile wrong_shape = planes;
  wrong_shape.tensors[0].shape = {5, 5, 9, 1, 5};
  CHECK_THAT(refused(wrong_shape),
             Catch::Matchers::Contains(
                 "layer1.0.conv1.pweight has shape (5, 5, 9, 1, 5), this network wants (5, 5, 3, 3, 5)"));

  TensorFile uneven = planes;  // p has five bits, n has three
  uneven.tensors[1] = HostTensor::from<float>("layer1.0.conv1.nweight", {5, 5, 3, 3, 3}, std::vector<float>(675));
  CHECK_THAT(refused(uneven), Catch::Matchers::Contains("layer1.0.conv1.nweight has shape"));

  TensorFile no_scale = planes;
  no_scale.tensors[2] = HostTensor::from<float>("layer1.0.conv1.scale", {0}, {});
  CHECK_THAT(refused(no_scale), Catch::Matchers::Contains("layer1.0.conv1.scale must hold one number"));

  const FixedPointWeights store(store_memory.memory, layout, store_memory.gradients.as<float>(),
                                StoredFixedPoint(to_fixed(trained(layout))));
  TensorFile fixed;
  fixed.path = "f.safetensors";
  fixed.tensors = store_memory.saved(store);
  CHECK_THAT(refused(fixed), Catch::Matchers::Contains("fixed-point weights without a scheme"));
  fixed.metadata["scheme"] = R"({"layer1.0.conv1":[5,0],"fc":[8,1]})";
  fixed.tensors[1] = HostTensor::from<float>("layer1.0.conv1.scale", {0}, {});
  CHECK_THAT(refused(fixed), Catch::Matchers::Contains("layer1.0.conv1.scale"));
}

}  // namespace bsq::test
