#include "engine/deployed/value_ranges.h"

#include "engine/input/sampler.h"
#include "engine/input/streaming_source.h"
#include "engine/methods/weight_forms.h"
#include "engine/model/model.h"
#include "engine/network/executor.h"
#include "kernels/base/error.h"
#include "kernels/base/thread_count.h"

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

WatchedNumbers numbers_of(const PlannedLevels& planned) {
  return {planned.traced, planned.is_before_affine ? planned.affine : -1};
}

std::vector<const PlannedLevels*> levels_with_range(const DeploymentPlan& plan) {
  std::vector<const PlannedLevels*> levels;
  for (const PlannedLevels& planned : plan.levels)
    if (planned.needs_range()) levels.push_back(&planned);
  return levels;
}

std::vector<WatchedNumbers> watched_numbers(const DeploymentPlan& plan) {
  std::vector<WatchedNumbers> watched;
  for (const PlannedLevels* planned : levels_with_range(plan)) watched.push_back(numbers_of(*planned));
  return watched;
}

/// The network on its device, and what its inference is watched for.
class WatchedRun {
 public:
  WatchedRun(Backend& backend, const Network& network, const TensorFile& plain, const Weights& weights,
             std::vector<WatchedNumbers> watched, const RangeImages& from)
      : backend_(backend),
        memory_(backend),
        model_(memory_, network, DType::f32, /*seed=*/0, store_of([&](const ArenaLayout&) { return weights; })),
        batch_(static_cast<int>(std::min<std::int64_t>(from.batch_size, from.images.size()))),
        batches_(std::min<std::int64_t>(from.batches, from.images.size() / batch_)),
        source_(memory_, from.images, "images to find ranges on",
                {.batch = batch_, .threads = default_threads().threads}),  // a few of what may be millions
        input_(plain_input(from.input)),
        executor_(memory_, model_.network(), model_.parameters(), batch_, DType::f32, ExecutionMode::inference),
        watch_(backend, model_.network(), model_.parameters(), std::move(watched)),
        labels_(memory_.allocate_array<std::int32_t>("labels", static_cast<std::size_t>(batch_))),
        inputs_(memory_.allocate_array<StepInputs>("step inputs", 1)) {
    model_.load_plain(plain);
    watch_.read_parameters();
    source_.begin_epoch(epoch_order(source_.size(), {from.seed, kCalibrationOrder, 0}));
  }

  std::int64_t batches() const { return batches_; }

  std::vector<Extremes> run(std::int64_t batch) {
    source_.stage(batch * batch_, batch_);
    upload_array(backend_, inputs_.as<StepInputs>(), std::vector<StepInputs>{{.first_sample = batch * batch_}});
    backend_.augment({input_, source_.rows(), inputs_.as<StepInputs>(), batch_, executor_.images(batch_),
                      labels_.as<std::int32_t>()});
    return watch_.run(executor_, batch_, ActScale::calibrated);
  }

 private:
  Backend& backend_;
  DeviceMemory memory_;
  Model model_;
  int batch_;
  std::int64_t batches_;
  StreamingSource source_;
  AugmentRule input_;
  Executor executor_;
  ExtremesWatch watch_;
  Buffer labels_;
  Buffer inputs_;
};

}  // namespace

ValueRanges find_ranges(Backend& backend, const Network& network, const DeploymentPlan& plan, const TensorFile& plain,
                        const Weights& weights, const RangeImages& from) {
  if (const Shape images = from.images.info().image(); images != network.image())
    fail(
        ErrorKind::data,
        "the images have {}x{} pixels in {} channels, the network takes {}x{} in {}; give it images as in its training",
        images[1], images[0], images[2], network.image()[1], network.image()[0], network.image()[2]);
  const std::vector<const PlannedLevels*> levels = levels_with_range(plan);
  std::vector<Extremes> sums(levels.size());
  WatchedRun run(backend, network, plain, weights, watched_numbers(plan), from);
  for (std::int64_t batch = 0; batch < run.batches(); ++batch) {
    const std::vector<Extremes> found = run.run(batch);
    for (std::size_t i = 0; i < sums.size(); ++i) {
      sums[i].low += found[i].low;
      sums[i].high += found[i].high;
    }
  }
  ValueRanges ranges;
  const auto batches = static_cast<double>(run.batches());
  for (std::size_t i = 0; i < sums.size(); ++i)
    ranges[levels[i]->name] = {static_cast<float>(sums[i].low / batches), static_cast<float>(sums[i].high / batches)};
  return ranges;
}

ValueRanges trained_ranges(const Network& network, const DeploymentPlan& plan, const TensorFile& plain) {
  ValueRanges ranges;
  const std::vector<RoundedPlace> places = rounded_places(network);
  for (const PlannedLevels* planned : levels_with_range(plan)) {
    const auto place = std::ranges::find(places, numbers_of(*planned), &RoundedPlace::numbers);
    if (place == places.end()) continue;
    const std::string& name = network.states()[static_cast<std::size_t>(place->range)].name;
    if (plain.find(name) == nullptr) continue;
    const auto numbers = plain.at(name).values<float>();
    if (numbers.size() != 2 || !(numbers[0] <= 0 && numbers[1] >= 0) || std::isinf(numbers[0]) ||
        std::isinf(numbers[1]))
      fail(ErrorKind::checkpoint,
           "{}: {} is no range that has been found; train the model again, or export another one", plain.path.string(),
           name);
    ranges[planned->name] = {numbers[0], numbers[1]};
  }
  return ranges;
}

bool has_all(const ValueRanges& ranges, const DeploymentPlan& plan) {
  return std::ranges::all_of(levels_with_range(plan),
                             [&](const PlannedLevels* planned) { return ranges.contains(planned->name); });
}

}  // namespace bsq
