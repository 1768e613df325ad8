#include "engine/deployed/value_ranges.h"

#include "engine/input/resident_source.h"
#include "engine/input/sampler.h"
#include "engine/methods/weight_forms.h"
#include "engine/model/model.h"
#include "engine/network/executor.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bsq {
namespace {

/// Sums over batches.
struct Extremes {
  double low = 0;
  double high = 0;
};

/// A tensor whose range is asked for: [rows, channels], times its unit, and a x + c of each channel.
struct Traced {
  const PlannedLevels* planned;
  ChannelAffine affine;  // empty: the numbers as they are
  Extremes sums = {};
};

Extremes extremes_of(const std::vector<float>& values, const ChannelAffine& affine, double unit) {
  const bool is_plain = affine.a.empty();
  const std::size_t channels = is_plain ? 1 : affine.a.size();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> low(channels, kInfinity), high(channels, -kInfinity);
  for (std::size_t i = 0; i < values.size(); i += channels) {
    for (std::size_t c = 0; c < channels; ++c) {
      low[c] = std::min(low[c], values[i + c]);
      high[c] = std::max(high[c], values[i + c]);
    }
  }
  Extremes found{double{kInfinity}, -double{kInfinity}};
  for (std::size_t c = 0; c < channels; ++c) {
    for (const float value : {low[c], high[c]}) {
      const double number = is_plain ? value * unit : affine.a[c] * (value * unit) + affine.c[c];
      found.low = std::min(found.low, number);
      found.high = std::max(found.high, number);
    }
  }
  return found;
}

double unit_of(Backend& backend, const TensorUnit& unit) {
  double value = 1;
  for (const float* part : {static_cast<const float*>(unit.activation), unit.weight})
    if (part != nullptr) value *= download_array(backend, part, 1)[0];
  return value;
}

std::vector<Traced> traced_levels(const Network& network, const DeploymentPlan& plan, const ParameterNumbers& numbers) {
  const std::vector<TensorSpec> specs = network.tensors(1, DType::f32);
  std::vector<Traced> traced;
  for (const PlannedLevels& planned : plan.levels) {
    if (!planned.needs_range()) continue;
    Traced& one = traced.emplace_back(Traced{&planned, {}});
    if (!planned.is_before_affine || planned.affine < 0) continue;
    const Shape& shape = specs[static_cast<std::size_t>(planned.traced)].shape;
    one.affine = affine_of(network.nodes()[static_cast<std::size_t>(planned.affine)], numbers,
                           static_cast<int>(shape[shape.rank - 1]));
  }
  return traced;
}

/// The network on its device, every tensor of it kept.
class TracedRun {
 public:
  TracedRun(Backend& backend, const Network& network, const TensorFile& plain, const Weights& weights,
            const RangeImages& from)
      : backend_(backend),
        memory_(backend),
        model_(memory_, network, DType::f32, /*seed=*/0, store_of([&](const ArenaLayout&) { return weights; })),
        source_(memory_, from.images, "images to find ranges on"),
        batch_(static_cast<int>(std::min<std::int64_t>(from.batch_size, source_.size()))),
        batches_(std::min<std::int64_t>(from.batches, source_.size() / batch_)),
        input_(plain_input(from.input)),
        executor_(memory_, model_.network(), model_.parameters(), batch_, DType::f32, ExecutionMode::tracing),
        labels_(memory_.allocate_array<std::int32_t>("labels", static_cast<std::size_t>(batch_))),
        inputs_(memory_.allocate_array<StepInputs>("step inputs", 1)) {
    model_.load_plain(plain);
    source_.begin_epoch(epoch_order(source_.size(), {from.seed, kCalibrationOrder, 0}));
  }

  std::int64_t batches() const { return batches_; }

  void run(std::int64_t batch) {
    source_.stage(batch * batch_, batch_);
    upload_array(backend_, inputs_.as<StepInputs>(), std::vector<StepInputs>{{.first_sample = batch * batch_}});
    backend_.augment({input_, source_.rows(), inputs_.as<StepInputs>(), batch_, executor_.images(batch_),
                      labels_.as<std::int32_t>()});
    executor_.forward(batch_, {.act_scale = ActScale::calibrated});
  }

  Extremes extremes(const Traced& traced) {
    const TensorView view = executor_.tensor(traced.planned->traced, batch_);
    return extremes_of(numbers_of(view), traced.affine, unit_of(backend_, view.unit));
  }

 private:
  /// The numbers of a tensor, whether or not it is a part of wider pixels.
  std::vector<float> numbers_of(const TensorView& view) {
    const auto channels = static_cast<std::size_t>(view.shape[view.shape.rank - 1]);
    const std::size_t rows = static_cast<std::size_t>(view.shape.numel()) / channels;
    const std::size_t pitch = view.pitch == 0 ? channels : static_cast<std::size_t>(view.pitch);
    std::vector<float> numbers = download_array(backend_, view.as<float>(), (rows - 1) * pitch + channels);
    if (pitch == channels) return numbers;
    for (std::size_t row = 1; row < rows; ++row)
      std::copy_n(numbers.begin() + static_cast<std::ptrdiff_t>(row * pitch), channels,
                  numbers.begin() + static_cast<std::ptrdiff_t>(row * channels));
    numbers.resize(rows * channels);
    return numbers;
  }

  Backend& backend_;
  DeviceMemory memory_;
  Model model_;
  ResidentSource source_;
  int batch_;
  std::int64_t batches_;
  AugmentRule input_;
  Executor executor_;
  Buffer labels_;
  Buffer inputs_;
};

}  // namespace

ValueRanges find_ranges(Backend& backend, const Network& network, const DeploymentPlan& plan, const TensorFile& plain,
                        const Weights& weights, const RangeImages& from) {
  const ParameterNumbers numbers(network, plain, *weights);
  std::vector<Traced> traced = traced_levels(network, plan, numbers);
  TracedRun run(backend, network, plain, weights, from);
  for (std::int64_t batch = 0; batch < run.batches(); ++batch) {
    run.run(batch);
    for (Traced& one : traced) {
      const Extremes found = run.extremes(one);
      one.sums.low += found.low;
      one.sums.high += found.high;
    }
  }
  ValueRanges ranges;
  const auto batches = static_cast<double>(run.batches());
  for (const Traced& one : traced)
    ranges[one.planned->name] = {static_cast<float>(one.sums.low / batches),
                                 static_cast<float>(one.sums.high / batches)};
  return ranges;
}

}  // namespace bsq
