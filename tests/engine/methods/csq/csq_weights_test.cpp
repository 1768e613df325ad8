// Weights of CSQ against METHOD 14 written out in double; at rest, in files, from and to other forms; the temperatures.
#include "engine/methods/csq/csq_weights.h"

#include "engine/methods/csq/csq_keys.h"
#include "tests/engine/methods/store_support.h"
#include "tests/support/config.h"
#include "tests/support/files.h"

namespace bsq::test {
namespace {

/// Planes and masks as training leaves them.
std::vector<CsqTensorAtRest> drawn_csq(const ArenaLayout& layout, const std::vector<int>& bits) {
  std::vector<CsqTensorAtRest> tensors;
  for (std::size_t slot = 0; slot < bits.size(); ++slot) {
    RandomTensors random("csq " + std::to_string(slot));
    const std::int64_t planes = bits[slot] * numel_of(layout.slots[slot]);
    tensors.push_back({.bits = bits[slot],
                       .scale = 0.5F + static_cast<float>(slot),
                       .p = random.normal(planes, 0.1F, 0.5F),
                       .n = random.normal(planes, 0.1F, 0.5F),
                       .mask = random.normal(bits[slot], 0.1F, 0.3F)});
  }
  return tensors;
}

const std::vector<CsqTensorAtRest>& csq_of(const Weights& weights) {
  return dynamic_cast<const StoredCsq&>(*weights).all();
}

}  // namespace

TEST_CASE("what a device reads of CSQ's weights is what their file means, soft, with hard masks and hard") {
  for_each_device([](Backend& backend) {
    StoreMemory memory(backend);
    const auto tensors = drawn_csq(memory.layout, {3, 8, 1});
    for (const CsqHardness hardness : {CsqHardness::none, CsqHardness::masks, CsqHardness::all}) {
      const StoredCsq stored(tensors, {5, hardness});
      const CsqWeights store(memory.memory, memory.layout, memory.gradients.as<float>(), stored);
      for (std::size_t slot = 0; slot < 3; ++slot)
        check_close(memory.values(store, slot), to_doubles(stored.values(slot)), "slot " + std::to_string(slot));
      CHECK(store.count()[1].ones == stored.count(1).ones);
      CHECK(are_soft(stored) == (hardness != CsqHardness::all));
    }
  });
}

TEST_CASE("CSQ begins with the planes of BSQ, and masks that have not decided") {
  const ArenaLayout layout = store_layout();
  const Weights in_float = initial_weights(layout, 1);
  const Weights start = StoredCsq::convert(in_float, {4, 8, 2});
  for (std::size_t slot = 0; slot < 3; ++slot) {
    const CsqTensorAtRest& tensor = csq_of(start)[slot];
    const BitPlanes planes = planes_from_float(in_float->values(slot), tensor.bits);
    CHECK(tensor.p == planes.p);
    CHECK(tensor.n == planes.n);
    CHECK(tensor.scale == planes.scale);
    CHECK(tensor.mask == std::vector<float>(static_cast<std::size_t>(tensor.bits)));
    CHECK(start->bits(slot) == std::vector<int>{4, 8, 2}[slot]);
  }
  // (sigmoid(1) - sigmoid(0)) / 2 of the weight on the grid: METHOD 14
  const std::vector<float> on_grid = effective_weights(planes_from_float(in_float->values(0), 4));
  std::vector<double> expected;
  for (const float w : on_grid) expected.push_back((1 / (1 + std::exp(-1.0)) - 0.5) / 2 * double{w});
  check_close(start->values(0), expected, "start");
}

TEST_CASE("hard weights of CSQ span the selected planes and lose the empty ones of both ends") {
  // planes of 8, 4, 2 and 1, of which the last three are selected
  CsqTensorAtRest tensor{.bits = 4,
                         .scale = 1.5F,
                         .p = {1, 1, -1, 1, 0, -1, -1, 1, 1, 0, -1, 0},
                         .n = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0},
                         .mask = {-0.5F, 0.25F, 0.5F, 0.125F}};
  const Levels levels = hardened(tensor);
  CHECK(levels.bits == 3);
  CHECK(levels.k == std::vector<int>{4, 2, -2});
  CHECK(scale_of(levels) == Approx(1.5 * 7 / 15));
  const Levels narrow = without_empty_planes(levels);
  CHECK(narrow.bits == 2);
  CHECK(narrow.k == std::vector<int>{2, 1, -1});
  CHECK(narrow.unit.front() == Approx(2 * levels.unit.front()));

  tensor.scale = -1.5F;  // which training may do
  CHECK(hardened(tensor).k == std::vector<int>{-4, -2, 2});
  CHECK(scale_of(hardened(tensor)) == Approx(1.5 * 7 / 15));

  tensor.mask = {-1, 0, -0.5F, 0};  // 0 is not selected
  CHECK(hardened(tensor).bits == 0);
  CHECK(hardened(tensor).k == std::vector<int>{0, 0, 0});
  tensor.fixed = true;  // every plane counts
  CHECK(hardened(tensor).bits == 4);

  const CsqTensorAtRest hole{.bits = 3, .scale = 1, .p = {1, 1, 1}, .n = {0, 0, 0}, .mask = {1, -1, 1}};
  CHECK(hardened(hole).bits == 3);  // the span counts, not what is selected
  CHECK(hardened(hole).k == std::vector<int>{5});
}

TEST_CASE("CSQ's steps move the store by the masks' budget, whichever way it counts") {
  for_each_device([](Backend& backend) {
    StoreMemory memory(backend);
    const StoredCsq stored(drawn_csq(memory.layout, {3, 8, 1}), {2, CsqHardness::none});
    const CsqNumbers numbers{.temperature = 2, .strength = 0.5F, .target = 1};
    const auto masks_after = [&](CsqCount count) {
      DeviceMemory own(backend);
      CsqWeights store(own, memory.layout, memory.gradients.as<float>(), stored, count);
      backend.fill_zero(memory.gradients.data(), memory.gradients.size_bytes());
      store.step({0, 0}, memory.set_inputs({.learning_rate = 1, .method = numbers.to_method()}), nullptr);
      return csq_of(download(backend, store.masters()));
    };
    const double sizes[] = {225.0 / 249, 21.0 / 249, 3.0 / 249};
    for (const CsqCount count : {CsqCount::weights, CsqCount::masks}) {
      double bits = 0;
      for (std::size_t slot = 0; slot < 3; ++slot)
        for (const float m : stored.all()[slot].mask)
          bits += m >= 0 ? (count == CsqCount::weights ? sizes[slot] : 1.0 / 3) : 0;
      const auto after = masks_after(count);
      for (std::size_t slot = 0; slot < 3; ++slot) {
        const CsqTensorAtRest& before = stored.all()[slot];
        const double weight = (count == CsqCount::weights ? 3 * sizes[slot] : 1.0) / before.bits;
        std::vector<double> expected;
        for (const float m : before.mask) {
          const double gate = 1 / (1 + std::exp(-2 * double{m}));
          expected.push_back(double{m} - 0.5 * (bits - 1) * weight * 2 * gate * (1 - gate));
        }
        check_close(after[slot].mask, expected, "masks of slot " + std::to_string(slot));
      }
    }
  });
}

TEST_CASE("the temperature of CSQ rises by a factor per epoch, and masks harden before the end") {
  Config config = default_config();
  config.stage("csq").epochs = 12;
  config.part<CsqConfig>() = {
      .target_bits = 2.5, .budget_strength = 0.25, .end_temperature = 64, .hard_mask_epochs = 6};
  const std::unique_ptr<Method> method = method_of_stage("csq", config);
  for (int epoch = 0; epoch < 12; ++epoch) {
    const CsqNumbers numbers = CsqNumbers::from(method->step_numbers(epoch));
    CHECK(numbers.temperature == Approx(std::pow(2.0, epoch + 1)));
    CHECK(numbers.hardness == (epoch < 6 ? CsqHardness::none : CsqHardness::masks));
    CHECK(numbers.strength == 0.25F);
    CHECK(numbers.target == 2.5F);
  }
  for_each_device([&](Backend& backend) {
    StoreMemory memory(backend);
    const auto store = store_of_stage(memory, config, "csq", initial_weights(memory.layout, 1));
    method->start_epoch(*store, 3);
    CHECK(dynamic_cast<CsqWeights&>(*store).gates() == CsqGates{16, CsqHardness::none});
    CHECK_FALSE(method->adjusts(12, false));
    REQUIRE(method->adjusts(12, true));
    method->adjust(*store, true);
    CHECK_FALSE(are_soft(*download(backend, store->masters())));
  });
}

TEST_CASE("soft weights of CSQ are what no other stage starts from") {
  const ArenaLayout layout = store_layout();
  const Config config = default_config();
  const StoredCsq soft(drawn_csq(layout, {3, 8, 1}), {2, CsqHardness::masks});
  for (const char* stage : {"convert", "bsq", "lsq", "finetune"})
    CHECK_THAT(method_of_stage(stage, config)->refusal(soft, layout), Catch::Contains("weights of stage csq that are"));
  CHECK(method_of_stage("csq", config)->refusal(soft, layout).empty());
  const StoredCsq hard(drawn_csq(layout, {3, 8, 1}), {2, CsqHardness::all});
  CHECK(method_of_stage("finetune", config)->refusal(hard, layout).empty());
  CHECK_THAT(method_of_stage("csq", config)->refusal(hard, layout), Catch::Contains("starts from float ones"));
}

TEST_CASE("a target of CSQ below the bits of fixed widths is refused, by what is counted") {
  ArenaLayout layout = store_layout();  // 225, 21 and 3 weights
  layout.slots[1].spec.widths = {.start = 8, .most = 8, .fixed = true};
  Config config = default_config();
  const auto conflict = [&](double target, const std::string& count) {
    config.part<CsqConfig>().target_bits = target;
    config.part<CsqConfig>().count = count;
    return method_of_stage("csq", config)->conflict(layout);
  };
  CHECK(conflict(0.7, "weights").empty());  // 21 * 8 / 249
  CHECK_THAT(conflict(0.6, "weights"), Catch::Contains("csq.target_bits = 0.6") && Catch::Contains("0.6747 bits"));
  CHECK_THAT(conflict(2.5, "masks"), Catch::Contains("2.6667 bits (csq.count: masks)"));
}

TEST_CASE("a file of CSQ's weights with masks or gates that no training leaves is refused") {
  const ArenaLayout layout = store_layout();
  const StoredCsq stored(drawn_csq(layout, {3, 8, 1}), {2, CsqHardness::none});
  const auto refusal = [&](const std::string& name, const std::vector<float>& numbers) {
    TensorFile file;
    file.path = "x.safetensors";
    for (HostTensor& tensor : stored.tensors(layout))
      file.tensors.push_back(tensor.name == name ? HostTensor::from<float>(name, {std::ssize(numbers)}, numbers)
                                                 : tensor);
    return error_of(ErrorKind::checkpoint, [&] { read_weights(file, layout, 8); });
  };
  CHECK_THAT(refusal("fc.mask_weight", {1, 1}), Catch::Contains("fc.mask_weight has 2 numbers for 8 planes"));
  CHECK_THAT(refusal("fc.gates_weight", {2}), Catch::Contains("must hold a temperature above 0 and a hardness"));
  CHECK_THAT(refusal("fc.gates_weight", {0, 0}), Catch::Contains("must hold a temperature above 0"));
  CHECK_THAT(refusal("fc.gates_weight", {2, 3}), Catch::Contains("hardness of 0, 1 or 2"));
  CHECK_THAT(refusal("fc.gates_weight", {3, 0}), Catch::Contains("differs from the gates of other layers"));
}

}  // namespace bsq::test
