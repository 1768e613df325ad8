// Forward passes over training images, the units and extremes they show, and their means.
#include "engine/training/calibrator.h"

#include "engine/input/sampler.h"

#include <algorithm>
#include <array>

namespace bsq {
namespace {

std::vector<WatchedNumbers> numbers_of(const std::vector<RoundedPlace>& places) {
  std::vector<WatchedNumbers> numbers;
  for (const RoundedPlace& place : places) numbers.push_back(place.numbers);
  return numbers;
}

bool is_calibrated(const Node& node) {
  const std::optional<OutputQuantizer> quantizer = node.layer->quantizer();
  return (quantizer && quantizer->act_scale >= 0) || !node.layer->rounded().empty();
}

CalibrationOptions at_most(CalibrationOptions options, std::int64_t samples) {
  options.batch_size = static_cast<int>(std::min<std::int64_t>(options.batch_size, samples));
  options.batches = static_cast<int>(std::min<std::int64_t>(options.batches, samples / options.batch_size));
  return options;
}

}  // namespace

bool needs_calibration(const Network& network) {
  return std::ranges::any_of(network.nodes(), is_calibrated);
}

Calibrator::Calibrator(DeviceMemory& memory, Model& model, BatchSource& source, const CalibrationOptions& options,
                       Communicator& communicator)
    : backend_(memory.backend()),
      model_(model),
      source_(source),
      options_(at_most(options, source.size())),
      communicator_(communicator),
      executor_(memory, model.network(), model.parameters(), options_.batch_size, model.dtype(),
                ExecutionMode::inference),
      labels_(
          memory.allocate_array<std::int32_t>("labels, calibration", static_cast<std::size_t>(options_.batch_size))),
      own_(slice_of(options_.batches, communicator.rank(), communicator.world())),
      feed_(memory, "calibration", own_.count),
      places_(rounded_places(model.network())),
      watch_(backend_, model.network(), model.parameters(), numbers_of(places_)) {
  std::vector<StepInputs> steps;
  for (std::int64_t batch = own_.first; batch < own_.first + own_.count; ++batch)
    steps.push_back({.first_sample = batch * options_.batch_size});
  feed_.fill(steps);
  const auto& nodes = model.network().nodes();
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::optional<OutputQuantizer> quantizer = nodes[i].layer->quantizer();
    if (!quantizer || quantizer->act_scale < 0) continue;
    quantizers_.push_back({executor_.tensor(static_cast<TensorId>(i) + 1, 1).unit.activation,
                           static_cast<float>((1 << quantizer->bits) - 1),
                           model.parameters().states[static_cast<std::size_t>(quantizer->act_scale)]});
  }
}

void Calibrator::enqueue_images() {
  feed_.enqueue_take();
  backend_.augment({plain_input(options_.input), source_.rows(), feed_.inputs(), options_.batch_size,
                    executor_.images(options_.batch_size), labels_.as<std::int32_t>()});
}

void Calibrator::find(float* scales, float* ranges) {
  if (finds_ranges()) {  // which are looked for between nodes: nothing to capture
    enqueue_images();
    for (const Extremes& found : watch_.run(executor_, options_.batch_size, ActScale::batch_max)) {
      *ranges++ = static_cast<float>(found.low);
      *ranges++ = static_cast<float>(found.high);
    }
  } else {
    if (captured_ == nullptr)
      captured_ = backend_.capture([this] {
        enqueue_images();
        executor_.forward(options_.batch_size);
      });
    captured_->replay();
  }
  for (const Quantizer& quantizer : quantizers_) {
    backend_.download(scales, quantizer.unit, sizeof(float));
    *scales++ *= quantizer.levels;
  }
}

float Calibrator::mean_of(const std::vector<float>& all, std::size_t offset) const {
  const auto batches = static_cast<std::size_t>(options_.batches);
  double sum = 0;
  for (std::size_t batch = 0; batch < batches; ++batch)
    for (std::size_t at = batch * record_size() + offset; at < all.size(); at += batches * record_size())
      sum += static_cast<double>(all[at]);
  return static_cast<float>(sum / static_cast<double>(batches));
}

void Calibrator::run() {
  const Range range(backend_, "calibration");
  source_.begin_epoch(epoch_order(source_.size(), {options_.seed, kCalibrationOrder, 0}));
  std::vector<BatchRange> own;
  for (std::int64_t batch = own_.first; batch < own_.first + own_.count; ++batch)
    own.push_back({batch * options_.batch_size, options_.batch_size});
  source_.expect(own);
  feed_.rewind();
  watch_.read_parameters();
  std::vector<float> found(static_cast<std::size_t>(options_.batches) *
                           record_size());  // zeros for other ranks' batches
  for (std::int64_t batch = own_.first; batch < own_.first + own_.count; ++batch) {
    feed_.count_replay();
    source_.stage(batch * options_.batch_size, options_.batch_size);
    float* const of_batch = found.data() + static_cast<std::size_t>(batch) * record_size();
    find(of_batch, of_batch + quantizers_.size());
  }

  const std::vector<float> all = gather(communicator_, std::span<const float>(found));
  for (std::size_t i = 0; i < quantizers_.size(); ++i) {
    const float mean = mean_of(all, i);
    backend_.upload(quantizers_[i].scale, &mean, sizeof(mean));
  }
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const std::size_t offset = quantizers_.size() + 2 * i;
    const std::array<float, 2> means = {std::min(mean_of(all, offset), 0.0F), std::max(mean_of(all, offset + 1), 0.0F)};
    backend_.upload(model_.parameters().states[static_cast<std::size_t>(places_[i].range)], means.data(),
                    sizeof(means));
  }
}

}  // namespace bsq
