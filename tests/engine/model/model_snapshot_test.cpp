// Snapshots: read by another thread they are the model of the moment they were taken, whatever training has done since.
#include "engine/model/model_snapshot.h"

#include "tests/support/engine.h"

#include <numeric>
#include <thread>

namespace bsq::test {
namespace {

constexpr int kPictures = 6;

/// A model that can be trained.
struct Trainee {
  Trainee(Backend& backend, const TestModel::MakeWeights& weights)
      : model(backend, make_resnet(tiny_resnet(Activation::pact, 3)), weights),
        source(model.memory, tiny_pictures("snapshot", kPictures), "training"),
        step(model.memory, model.model, source,
             {.augment = plain_input(tiny_input()), .rule = {}, .batch_size = kPictures, .metrics_slots = 4}, alone()),
        snapshot(model.memory, "checkpoint snapshot", model.model, StateScope::model_and_momentum) {
    std::vector<std::int32_t> order(kPictures);
    std::iota(order.begin(), order.end(), 0);
    source.begin_epoch(order);
  }
  void train(int steps) {
    step.plan(std::vector<PlannedStep>(static_cast<std::size_t>(steps),
                                       {kPictures, {.learning_rate = 0.1F, .method = {0.05F}}}));
    for (int i = 0; i < steps; ++i) step.run();
  }

  TestModel model;
  ResidentSource source;
  TrainingStep step;
  ModelSnapshot snapshot;
};

/// All files that are made of a state.
std::vector<HostTensor> tensors_of(const Model& model, const ModelState& state) {
  std::vector<HostTensor> tensors = model.save(state).tensors;
  for (const TensorFile& more : {save_as(model, state, "float"), save_as(model, state, "planes")})
    for (HostTensor tensor : more.tensors) tensors.push_back(std::move(tensor));
  if (!state.momentum) return tensors;
  for (HostTensor& tensor : model.save_momentum(*state.momentum).tensors) tensors.push_back(std::move(tensor));
  return tensors;
}

}  // namespace

TEST_CASE("a snapshot read while training goes on is the model as it was, in every form") {
  for_each_device([](Backend& backend) {
    for (const TestModel::MakeWeights& weights : {TestModel::MakeWeights{}, start_as_planes(6), start_as_fixed(5)}) {
      Trainee trainee(backend, weights);
      const Model& model = trainee.model.model;
      trainee.train(2);
      for (const StateScope scope : {StateScope::model, StateScope::model_and_momentum}) {
        const std::vector<HostTensor> expected = tensors_of(model, model.state(scope));
        trainee.snapshot.take(model.on_device(scope));
        std::vector<HostTensor> found;
        std::thread reader([&] { found = tensors_of(model, trainee.snapshot.read()); });
        trainee.train(4);
        reader.join();
        CHECK(different_tensors(found, expected).empty());
        CHECK(found.size() == expected.size());
        CHECK_FALSE(different_tensors(tensors_of(model, model.state(scope)), expected).empty());
      }
      CHECK_FALSE(trainee.model.model.state().momentum.has_value());
    }
  });
}

TEST_CASE("a snapshot keeps the bit widths it was taken under, and has room for all that there may be") {
  for_each_device([](Backend& backend) {
    Trainee trainee(backend, start_as_planes(3));
    Model& model = trainee.model.model;
    const std::vector<HostTensor> expected = tensors_of(model, model.state(StateScope::model_and_momentum));
    trainee.snapshot.take(model.on_device(StateScope::model_and_momentum));
    std::vector<BitPlanes> planes = plane_store(model).planes();
    for (BitPlanes& tensor : planes) {
      tensor.bits = 8;
      tensor.p.assign(static_cast<std::size_t>(8 * tensor.numel), 1.0F);
      tensor.n.assign(tensor.p.size(), 0.0F);
    }
    plane_store(model).set_planes(planes);
    CHECK(different_tensors(tensors_of(model, trainee.snapshot.read()), expected).empty());

    trainee.snapshot.take(model.on_device(StateScope::model_and_momentum));
    const ModelState state = trainee.snapshot.read();
    CHECK(planes_of(state.weights).front().bits == 8);
    CHECK(different_tensors(tensors_of(model, state), tensors_of(model, model.state(StateScope::model_and_momentum)))
              .empty());
  });
}

TEST_CASE("the memory of a snapshot is planned under its name") {
  const auto oracle = make_reference_backend();
  Trainee trainee(*oracle, start_as_planes(8));
  const auto& entries = trainee.model.memory.entries();
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [](const MemoryEntry& entry) { return entry.name == "checkpoint snapshot"; });
  REQUIRE(found != entries.end());
  std::size_t planes_bytes = 0;
  for (const MemoryEntry& entry : entries)
    if (entry.name == "bit planes" || entry.name == "bit planes, momentum") planes_bytes += entry.size_bytes;
  CHECK(found->size_bytes > planes_bytes);
  CHECK(found->size_bytes < 2 * planes_bytes);
}

TEST_CASE("what a store counts on the device is what is counted of its weights on the host, in every form") {
  for_each_device([](Backend& backend) {
    for (const TestModel::MakeWeights& weights : {TestModel::MakeWeights{}, start_as_planes(8), start_as_planes(5),
                                                  start_as_planes(1), start_as_fixed(8), start_as_fixed(2)}) {
      Trainee trainee(backend, weights);
      const Model& model = trainee.model.model;
      for (int i = 0; i < 3; ++i) {
        const std::vector<TensorCounts> counted = model.quantized().count();
        const std::vector<TensorCounts> expected = count_weights(*model.weights());
        REQUIRE(counted.size() == expected.size());
        for (std::size_t tensor = 0; tensor < counted.size(); ++tensor) {
          CHECK(counted[tensor].bits == expected[tensor].bits);
          CHECK(counted[tensor].scale == expected[tensor].scale);
          CHECK(counted[tensor].zeros == expected[tensor].zeros);
          CHECK(counted[tensor].ones == expected[tensor].ones);
        }
        trainee.train(2);
      }
    }
  });
}

TEST_CASE("planes that are no numbers are refused by the device's count as by the host's") {
  for_each_device([](Backend& backend) {
    Trainee trainee(backend, start_as_planes(4));
    Model& model = trainee.model.model;
    std::vector<BitPlanes> planes = plane_store(model).planes();
    planes.back().p.front() = NAN;
    plane_store(model).set_planes(planes);
    CHECK_THROWS_AS(model.quantized().count(), Error);
    CHECK_THROWS_WITH(model.quantized().count(), Catch::Contains("levels reach to 2 times at most"));
  });
}

}  // namespace bsq::test
