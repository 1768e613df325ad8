// Scales that training drives below zero: no file has one, the weights stay the same, and training goes on from files
// to the same bits, those of older versions included.
#include "tests/engine/methods/store_support.h"

namespace bsq::test {
namespace {

/// Weights with scales below and above zero, as a store has them on the device.
Weights with_signs(std::string_view form, const ArenaLayout& layout) {
  std::vector<BitPlanes> planes = {trained_planes("a", 5, numel_of(layout.slots[0]), -0.5F),
                                   trained_planes("b", 8, numel_of(layout.slots[1]), 0.125F),
                                   trained_planes("c", 1, numel_of(layout.slots[2]), -3.0F)};
  if (form == StoredPlanes::kForm) return as_weights(std::move(planes));
  std::vector<FixedPoint> fixed;
  RandomTensors random("u");
  for (const BitPlanes& tensor : planes)
    fixed.push_back({tensor.bits, tensor.scale, random.uniform(tensor.numel, -1.0F, 1.0F)});
  return as_weights(std::move(fixed));
}

void negate(HostTensor& tensor) {
  auto* numbers = reinterpret_cast<float*>(tensor.bytes.data());
  for (std::size_t i = 0; i < tensor.bytes.size() / sizeof(float); ++i) numbers[i] = -numbers[i];
}

/// The tensors as an older version wrote them, with the signs of `start`: slot after slot p, n and scale, or u and
/// scale.
std::vector<HostTensor> turned_back(std::vector<HostTensor> tensors, const Weights& start) {
  const std::vector<TensorCounts> counts = count_weights(*start);
  const std::size_t per_slot = tensors.size() / counts.size();
  for (std::size_t slot = 0; slot < counts.size(); ++slot) {
    if (counts[slot].scale > 0) continue;
    HostTensor* first = tensors.data() + slot * per_slot;
    if (per_slot == 3)
      std::swap(first[0].bytes, first[1].bytes);
    else
      negate(first[0]);
    negate(first[per_slot - 1]);
  }
  return tensors;
}

std::unique_ptr<WeightStore> make_store(StoreMemory& memory, const Weights& weights) {
  return store_of([&](const ArenaLayout&) { return weights; })(memory.memory, memory.layout,
                                                               memory.gradients.as<float>());
}

TensorFile file_of(std::vector<HostTensor> tensors, const Weights& weights, const ArenaLayout& layout) {
  TensorFile file;
  file.tensors = std::move(tensors);
  file.metadata = {{"scheme", scheme_to_json(*weights, layout)}};
  return file;
}

}  // namespace

TEST_CASE("files have no scale below zero, and training goes on from them to the same bits") {
  const std::string form = GENERATE("planes", "fixed");
  const bool of_older_version = GENERATE(false, true);
  INFO(form << (of_older_version ? ", a file of an older version" : ""));
  for_each_device([&](Backend& backend) {
    StoreMemory first_memory(backend), second_memory(backend);
    const ArenaLayout& layout = first_memory.layout;
    const Weights start = with_signs(form, layout);
    const auto store = make_store(first_memory, start);
    take_steps(first_memory, *store, 0, 3);

    std::vector<HostTensor> weights = first_memory.saved(*store), momentum = first_memory.saved_momentum(*store);
    for (const HostTensor& tensor : weights)
      if (tensor.name.ends_with("scale")) CHECK(tensor.values<float>()[0] > 0);
    if (of_older_version) {
      weights = turned_back(std::move(weights), start);
      momentum = turned_back(std::move(momentum), start);
    }
    const Weights read = read_weights(file_of(weights, start, layout), layout, 8);
    const auto copy = make_store(second_memory, read);
    TensorFile momentum_file;
    momentum_file.tensors = momentum;
    copy->load_momentum(momentum_file);
    for (int round = 0; round < 2; ++round) {
      CHECK(different_tensors(second_memory.saved(*copy), first_memory.saved(*store)).empty());
      CHECK(different_tensors(second_memory.saved_momentum(*copy), first_memory.saved_momentum(*store)).empty());
      for (std::size_t slot = 0; slot < layout.slots.size(); ++slot)
        CHECK(second_memory.values(*copy, slot) == first_memory.values(*store, slot));
      take_steps(first_memory, *store, 3, 4);
      take_steps(second_memory, *copy, 3, 4);
    }
    for (const TensorCounts& counts : store->count()) CHECK(counts.scale > 0);
  });
}

TEST_CASE("weights are the same on both sides of a file that has turned them") {
  const ArenaLayout layout = store_layout();
  for (const char* form : {"planes", "fixed"}) {
    INFO(form);
    const Weights start = with_signs(form, layout);
    const Weights read = read_weights(file_of(start->tensors(layout), start, layout), layout, 8);
    for (std::size_t slot = 0; slot < start->size(); ++slot) {
      CHECK(read->values(slot) == start->values(slot));
      CHECK(scale_of(*read->levels(slot)) > 0);
    }
  }
}

}  // namespace bsq::test
