// Forward passes over training images, the units they leave, and their means.
#include "engine/training/calibrator.h"

#include "engine/input/sampler.h"

#include <algorithm>

namespace bsq {
namespace {

CalibrationOptions at_most(CalibrationOptions options, std::int64_t samples) {
  options.batch_size = static_cast<int>(std::min<std::int64_t>(options.batch_size, samples));
  options.batches = static_cast<int>(std::min<std::int64_t>(options.batches, samples / options.batch_size));
  return options;
}

}  // namespace

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
      feed_(memory, "calibration", own_.count) {
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

void Calibrator::run() {
  const Range range(backend_, "calibration");
  source_.begin_epoch(epoch_order(source_.size(), {options_.seed, kCalibrationOrder, 0}));
  feed_.rewind();
  const auto enqueue = [this] {
    feed_.enqueue_take();
    backend_.augment({plain_input(options_.input), source_.rows(), feed_.inputs(), options_.batch_size,
                      executor_.images(options_.batch_size), labels_.as<std::int32_t>()});
    executor_.forward(options_.batch_size);
  };
  if (captured_ == nullptr) captured_ = backend_.capture(enqueue);

  const auto batches = static_cast<std::size_t>(options_.batches);
  std::vector<float> found(batches * quantizers_.size());  // zeros for the batches of other ranks
  for (std::int64_t batch = own_.first; batch < own_.first + own_.count; ++batch) {
    feed_.count_replay();
    source_.stage(batch * options_.batch_size, options_.batch_size);
    captured_->replay();
    float* of_batch = found.data() + static_cast<std::size_t>(batch) * quantizers_.size();
    for (const Quantizer& quantizer : quantizers_) {
      backend_.download(of_batch, quantizer.unit, sizeof(float));
      *of_batch++ *= quantizer.levels;
    }
  }

  const std::vector<float> all = gather(communicator_, std::span<const float>(found));
  for (std::size_t i = 0; i < quantizers_.size(); ++i) {
    double sum = 0;
    for (std::size_t batch = 0; batch < batches; ++batch)
      for (std::size_t at = batch * quantizers_.size() + i; at < all.size(); at += found.size())
        sum += static_cast<double>(all[at]);
    const auto mean = static_cast<float>(sum / static_cast<double>(batches));
    backend_.upload(quantizers_[i].scale, &mean, sizeof(mean));
  }
}

}  // namespace bsq
