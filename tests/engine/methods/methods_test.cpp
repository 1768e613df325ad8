// The table of methods: what each stage begins with, hands on and changes between epochs.
#include "engine/methods/methods.h"

#include "engine/methods/bsq/plane_budget.h"
#include "engine/methods/bsq/plane_weights.h"

#include "tests/engine/methods/store_support.h"
#include "tests/support/config.h"
#include "tests/support/files.h"

namespace bsq::test {
namespace {}  // namespace

TEST_CASE("every stage makes a store of its form from weights of any form, or says why it cannot") {
  const auto oracle = make_reference_backend();
  const Config config = default_config();
  const std::map<std::string, std::string> trained = {
      {"pretrain", "float"}, {"convert", "planes"}, {"bsq", "planes"}, {"csq", "csq"},
      {"lsq", "lsq"},        {"dorefa", "dorefa"},  {"msq", "msq"},    {"finetune", "fixed"}};
  for (const MethodEntry& entry : methods()) {
    for (const WeightForm& form : weight_forms()) {
      INFO(entry.name << " from " << form.name);
      StoreMemory memory(*oracle);
      const Weights planes = StoredPlanes::convert(initial_weights(memory.layout, 1), {4, 4, 4});
      const Weights from = convert_weights(form.name, planes);
      const std::unique_ptr<Method> method = entry.make(config);
      const bool is_float = form.name == kFloatForm;
      const bool is_refused = entry.name == "csq"      ? !is_float
                              : entry.name == "dorefa" ? !is_float && form.name != "dorefa"
                                                       : entry.name == "finetune" && is_float;
      CHECK(method->refusal(*from, memory.layout).empty() != is_refused);
      if (is_refused) continue;
      const auto store = store_of_stage(memory, config, entry.name, from);
      CHECK(store->form() == trained.at(entry.name));
      if (form.name == kFloatForm && entry.name != "pretrain") continue;  // which rounds the weights anew
      const Weights& expected = form.name == "dorefa" ? from : planes;    // whose grid does not hold every level
      for (std::size_t slot = 0; slot < memory.layout.slots.size(); ++slot)
        check_close(memory.values(*store, slot), to_doubles(expected->values(slot)), "slot " + std::to_string(slot));
    }
  }
  CHECK_THAT(error_of(ErrorKind::usage, [&] { method_of_stage("prune", config); }), Catch::Contains("no stage prune"));
}

TEST_CASE("what a stage hands on is in the form of its results, which holds the same weights") {
  const auto oracle = make_reference_backend();
  const Config config = default_config();
  for (const MethodEntry& entry : methods()) {
    INFO(entry.name);
    StoreMemory memory(*oracle);
    const Weights from = StoredPlanes::convert(initial_weights(memory.layout, 1), {4, 4, 4});
    const Weights trained = download(*oracle, store_of_stage(memory, config, entry.name, from)->masters());
    const Weights result = convert_weights(entry.make(config)->result_form(), trained);
    CHECK(result->form() == (entry.name == "pretrain" ? "float" : entry.name == "csq" ? "csq" : "planes"));
    CHECK(all_values(*result) == all_values(entry.name == "dorefa" ? *trained : *from));
  }
}

TEST_CASE("bit planes are adjusted at intervals, from epoch 0 on, and at the end") {
  Config config = default_config();
  config.part<BsqConfig>().requant_interval = 3;
  const std::unique_ptr<Method> method = method_of_stage("bsq", config);
  std::vector<int> epochs;
  for (int epoch = 0; epoch < 8; ++epoch)
    if (method->adjusts(epoch, false)) epochs.push_back(epoch);
  CHECK(epochs == std::vector<int>{0, 3, 6});
  CHECK(method->adjusts(8, true));
  for (const char* stage : {"pretrain", "finetune"}) CHECK_FALSE(method_of_stage(stage, config)->adjusts(0, true));
}

TEST_CASE("an adjustment drops the planes that hold nothing, and the weights stay") {
  for_each_device([](Backend& backend) {
    StoreMemory memory(backend);
    const Config config = default_config();
    std::vector<int> k(225, 0);
    k[0] = 3;
    k[1] = -2;
    std::vector<BitPlanes> planes = to_planes(initial_weights(memory.layout, 1), {8, 8, 8});
    planes[0] = planes_from_levels(symmetric_levels(8, 0.5F, k));
    const auto store = store_of_stage(memory, config, "bsq", as_weights(planes));
    const std::vector<float> before = memory.values(*store, 0);
    method_of_stage("bsq", config)->adjust(*store, false);
    CHECK(store->count()[0].bits == 2);
    check_close(memory.values(*store, 0), to_doubles(before), "weights");
  });
}

TEST_CASE("the strength of the penalty travels with the inputs of a step") {
  Config config = default_config();
  config.part<BsqConfig>().alpha = 0.25;
  CHECK(method_of_stage("bsq", config)->step_numbers(7) == std::array<float, 4>{0.25F, 0, 0, 0});
  CHECK(method_of_stage("finetune", config)->step_numbers(7) == std::array<float, 4>{});
}

TEST_CASE("a network that cannot come to a budget is told, with the least it can come to, in the count of the budget") {
  const auto oracle = make_reference_backend();
  StoreMemory memory(*oracle);
  memory.layout.slots[0].spec.widths = {.start = 4, .most = 4, .fixed = true};  // 225 of 249 weights
  Config config = default_config();
  CHECK(method_of_stage("bsq", config)->conflict(memory.layout).empty());
  BsqConfig& bsq = config.part<BsqConfig>();
  bsq.budget_bits = 3.7;
  bsq.budget_count = "published";
  CHECK_THAT(method_of_stage("bsq", config)->conflict(memory.layout),
             Catch::StartsWith("bsq.budget_bits = 3.7: this network cannot come below 3.7108 bits per weight"));
  bsq.budget_bits = 3.72;
  CHECK(method_of_stage("bsq", config)->conflict(memory.layout).empty());
  bsq.budget_count = "stored";
  CHECK_THAT(method_of_stage("bsq", config)->conflict(memory.layout),
             Catch::Contains("below 5.0964 bits per weight (bsq.budget_count: stored)"));
}

TEST_CASE("under a budget weights are measured once an epoch, which changes none of them") {
  for_each_device([](Backend& backend) {
    StoreMemory memory(backend);
    Config config = default_config();
    BsqConfig& bsq = config.part<BsqConfig>();
    bsq.budget_bits = 3;
    bsq.budget_count = "published";
    const std::unique_ptr<Method> method = method_of_stage("bsq", config);
    CHECK(method->state().is_null());
    RandomTensors random("weights under a budget");
    DenseTensors weights;
    for (const ParameterSlot& slot : memory.layout.slots) weights.push_back(random.normal(numel_of(slot), 0, 0.2F));
    const auto store = store_of_stage(memory, config, "bsq", as_weights(weights));
    const auto before = memory.saved(*store);
    method->start_epoch(*store, 0);
    CHECK(different_tensors(memory.saved(*store), before).empty());
    const nlohmann::json state = method->state();
    const auto bits = [&] { return average_bits({}, dynamic_cast<PlaneWeights&>(*store).planes(), memory.layout); };
    CHECK(method->step_numbers(0)[0] == 0.02F);
    method->adjust(*store, false);
    CHECK(bits() == state.at("bits"));  // what was measured is what it comes to; the budget is not met yet
    const StepInputs* inputs = memory.set_inputs({.learning_rate = 0.001F});
    memory.draw_gradients(*store, 0, 0.3F);
    store->step({}, inputs, nullptr);
    method->start_epoch(*store, 0);  // as after an interruption
    CHECK(method->state() == state);
    method->adjust(*store, true);
    CHECK(std::abs(bits() - 3) < 0.46);  // half a plane of the largest tensor
  });
}

TEST_CASE("what a stage that trains says of itself, reports can show") {
  const Config config = default_config();
  std::set<std::string> titles;
  for (const MethodEntry& entry : methods()) {
    if (config.find_stage(entry.name) == nullptr) continue;
    INFO(entry.name);
    const MethodDescription said = entry.make(config)->describe();
    CHECK_FALSE(said.title.empty());
    CHECK(titles.insert(said.title).second);
    std::vector<std::string> keys;
    if (!said.strength_key.empty()) keys.push_back(said.strength_key);
    if (said.penalty) keys.push_back(said.penalty->factor);
    for (const std::string& key : keys) {
      const ConfigKey* found = config.schema().find(key);
      REQUIRE(found != nullptr);
      const ConfigValue value = found->field.get(config);
      CHECK((std::holds_alternative<double>(value) || std::holds_alternative<int>(value)));
    }
  }
}

}  // namespace bsq::test
