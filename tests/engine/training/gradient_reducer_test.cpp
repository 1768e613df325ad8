// When a step hands its gradients over: as soon as they are final, and never before.
#include "engine/training/gradient_reducer.h"

#include "engine/training/training_step.h"
#include "tests/support/engine.h"

namespace bsq::test {
namespace {

/// Rank 0 of two, the other of which never adds anything. Remembers what was handed over, and whether it still was the
/// same when the step asked for the sums.
class WatchedRanks final : public Communicator {
 public:
  explicit WatchedRanks(Backend& backend, int rank = 0) : Communicator({.rank = rank, .world = 2}), backend_(backend) {}

  struct HandedOver {
    const float* place;
    std::vector<float> values;
    float weight;
  };
  std::vector<HandedOver> handed_over;
  bool was_final = true;
  const float* watched = nullptr;         // a number
  std::vector<float> watched_at_handing;  // what it was whenever something was handed over

  std::string describe() const override { return "watched"; }
  void barrier() override {}
  void broadcast(void*, std::size_t) override {}
  void all_gather(const void* host, std::size_t size_bytes, void* gathered) override {
    std::memset(gathered, 0, 2 * size_bytes);
    std::memcpy(static_cast<std::byte*>(gathered) + static_cast<std::size_t>(rank()) * size_bytes, host, size_bytes);
  }
  void start_weighted_sum(float* device, std::size_t count, float weight) override {
    handed_over.push_back({device, download_array(backend_, device, count), weight});
    if (watched != nullptr) watched_at_handing.push_back(download_array(backend_, watched, 1).front());
  }
  void start_maximum(float*, std::size_t) override {}
  void finish_reductions() override {
    for (const HandedOver& part : handed_over)
      was_final = was_final && same_bits(part.values, download_array(backend_, part.place, part.values.size()));
  }
  void finish() override {}
  [[noreturn]] void abort(int exit_code) override { std::_Exit(exit_code); }

 private:
  Backend& backend_;
};

/// ResNet-20 has several buckets; the pictures are small.
ResNetOptions resnet_20() {
  return {.depth = 20, .width = 16, .num_classes = 3, .image_height = 8, .image_width = 8};
}

struct Setup {
  explicit Setup(Backend& backend, Communicator& ranks)
      : test(backend, make_resnet(resnet_20())),
        source(test.memory, tiny_pictures("train", 8), "training"),
        step(test.memory, test.model, source,
             {.augment = plain_input(tiny_input()), .rule = {}, .batch_size = 3, .metrics_slots = 2}, ranks) {
    source.begin_epoch({0, 1, 2, 3, 4, 5, 6, 7});
  }
  TestModel test;
  ResidentSource source;
  TrainingStep step;
};

}  // namespace

TEST_CASE("buckets of gradients leave while backward runs, each as soon as it is final, and all of them") {
  const auto backend = make_backend("cpu", {.threads = 1});
  WatchedRanks ranks(*backend);
  Setup setup(*backend, ranks);
  const float* stem = setup.test.model.parameters().gradients[0];  // the last to come
  ranks.watched = stem;
  setup.step.run(3, {.learning_rate = 0, .metrics_slot = 1});

  CHECK(ranks.was_final);
  const auto& parts = ranks.handed_over;
  REQUIRE(parts.size() >= 6);
  const Model& model = setup.test.model;
  CHECK(parts[0].place == model.states().as<float>());
  CHECK(parts[0].values.size() * sizeof(float) == model.states().size_bytes());
  std::size_t bytes = 0;
  for (std::size_t i = 1; i < parts.size(); ++i) bytes += parts[i].values.size() * sizeof(float);
  CHECK(bytes == model.gradients().size_bytes());
  CHECK(bytes == setup.step.reduced_bytes().gradients);
  for (const auto& part : parts) CHECK(part.weight == Approx(2.0 / 3.0));  // two images of three

  // All but the last have left when the gradient of the stem comes.
  for (std::size_t i = 0; i < parts.size(); ++i) CHECK((ranks.watched_at_handing[i] != 0) == (i + 1 == parts.size()));

  const StepMetrics metrics = setup.step.metrics(1, 1).front();
  CHECK(metrics.samples == 2);  // the other rank has none to add
}

TEST_CASE("a rank without a picture hands over zeros, of weight zero, and leaves no trace in the metrics") {
  const auto backend = make_backend("cpu", {.threads = 1});
  WatchedRanks ranks(*backend, 1);
  Setup setup(*backend, ranks);
  setup.step.run(3, {.learning_rate = 0.1F, .metrics_slot = 0});  // leaves gradients, and metrics in this slot
  CHECK(setup.step.metrics(0, 1).front().samples == 1);
  ranks.handed_over.clear();
  setup.step.run(1, {.learning_rate = 0.1F, .metrics_slot = 0});

  REQUIRE(ranks.handed_over.size() >= 6);
  for (std::size_t i = 0; i < ranks.handed_over.size(); ++i) {
    const auto& part = ranks.handed_over[i];
    CHECK(part.weight == 0);
    if (i == 0) continue;  // the statistics, which weigh nothing
    CHECK(std::all_of(part.values.begin(), part.values.end(), [](float value) { return value == 0; }));
  }
  const StepMetrics metrics = setup.step.metrics(0, 1).front();
  CHECK(metrics.samples == 0);
  CHECK(metrics.loss_sum == 0);
  CHECK(metrics.top1 == 0);
}

TEST_CASE("a process alone hands nothing over") {
  const auto backend = make_reference_backend();
  TestModel test(*backend, make_resnet(tiny_resnet()));
  GradientReducer reducer(alone(), test.model);
  CHECK(reducer.bytes_per_step().gradients == 0);
  CHECK(reducer.bytes_per_step().statistics == 0);
}

}  // namespace bsq::test
