#include "tools/pictures/seen_pictures.h"

#include "engine/input/sampler.h"
#include "engine/memory/device_memory.h"
#include "engine/training/experiment.h"

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

/// The place of the first stage that trains; of a chain without any the first stage.
int first_training(const Config& config) {
  for (std::size_t i = 0; i < config.stages.size(); ++i)
    if (config.find_stage(config.stages[i]) != nullptr) return static_cast<int>(i);
  return 0;
}

/// Numbers of images, class by class.
std::vector<std::int32_t> chosen_images(const Dataset& set, const SeenChoice& choice,
                                        const std::vector<std::int32_t>& order) {
  const int classes = set.info().num_classes(), shown = std::min(classes, choice.classes);
  std::vector<std::int32_t> chosen;
  for (int i = 0; i < shown; ++i) {
    const auto wanted = static_cast<std::int32_t>(static_cast<std::int64_t>(i) * classes / shown);
    int found = 0;
    for (auto number = order.begin(); number != order.end() && found < choice.per_class; ++number) {
      if (set.label(*number) != wanted) continue;
      chosen.push_back(*number);
      ++found;
    }
  }
  return chosen;
}

/// The chosen images on a device, and what an AugmentRule makes of them.
class AugmentedBatch {
 public:
  AugmentedBatch(Backend& backend, const DatasetInfo& info, const std::vector<std::int32_t>& numbers)
      : backend_(backend), memory_(backend), info_(info), numbers_(numbers) {
    images_ = memory_.allocate_array<std::uint8_t>("images", numbers.size() * info.image_bytes());
    labels_ = memory_.allocate_array<std::int32_t>("labels", numbers.size());
    rows_ = memory_.allocate_array<std::int32_t>("rows", numbers.size());
    samples_ = memory_.allocate_array<std::int32_t>("samples", numbers.size());
    inputs_ = memory_.allocate_array<StepInputs>("inputs", 1);
    seen_ = memory_.allocate_array<float>("seen", numbers.size() * info.image_bytes());
    std::vector<std::int32_t> rows(numbers.size());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int32_t>(i);
    upload_array(backend, rows_.as<std::int32_t>(), rows);
    upload_array(backend, samples_.as<std::int32_t>(), numbers);
    upload_array(backend, labels_.as<std::int32_t>(), std::vector<std::int32_t>(numbers.size()));
  }

  std::vector<Picture> seen(const AugmentRule& rule, const std::vector<std::uint8_t>& pixels, int epoch) {
    const auto batch = static_cast<int>(numbers_.size());
    upload_array(backend_, images_.as<std::uint8_t>(), pixels);
    upload_array(backend_, inputs_.as<StepInputs>(), std::vector<StepInputs>{{.epoch = epoch}});
    backend_.augment({rule,
                      {images_.as<std::uint8_t>(), labels_.as<std::int32_t>(), rows_.as<std::int32_t>(),
                       samples_.as<std::int32_t>()},
                      inputs_.as<StepInputs>(),
                      batch,
                      {DType::f32, {batch, info_.height, info_.width, info_.channels}, seen_.data()},
                      labels_.as<std::int32_t>()});
    const std::vector<float> values = download_array(backend_, seen_.as<float>(), pixels.size());
    const auto channels = static_cast<std::size_t>(info_.channels);
    std::vector<Picture> pictures(numbers_.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t channel = i % channels;
      const double level = (double{values[i]} * rule.std.at(channel) + rule.mean.at(channel)) * 255;
      const auto byte = static_cast<std::uint8_t>(std::clamp(std::nearbyint(level), 0.0, 255.0));
      Picture& picture = pictures[i / info_.image_bytes()];
      picture.insert(picture.end(), 3 / channels, byte);  // gray: three times
    }
    return pictures;
  }

 private:
  Backend& backend_;
  DeviceMemory memory_;
  const DatasetInfo& info_;
  const std::vector<std::int32_t>& numbers_;
  Buffer images_, labels_, rows_, samples_, inputs_, seen_;
};

}  // namespace

SeenPictures see_pictures(const Dataset& train, const Config& config, const SeenChoice& choice, Backend& backend) {
  const DatasetInfo& info = train.info();
  const int stage = first_training(config);
  const std::vector<std::int32_t> numbers =
      chosen_images(train, choice, epoch_order(train.size(), {.seed = config.seed, .stage = stage, .epoch = 0}));
  const InputOptions input = input_options(config, info);
  AugmentedBatch batch(backend, info, numbers);
  std::vector<std::uint8_t> pixels(numbers.size() * info.image_bytes());

  SeenPictures result{
      .height = info.height, .width = info.width, .stage = config.stages.at(static_cast<std::size_t>(stage))};
  read_images(train, numbers, pixels);
  const std::vector<Picture> evaluated = batch.seen(plain_input(input), pixels, 0);
  for (std::size_t i = 0; i < numbers.size(); ++i)
    result.images.push_back({.name = train.name(numbers[i]),
                             .class_name = info.class_names.at(static_cast<std::size_t>(train.label(numbers[i]))),
                             .evaluated = evaluated[i]});
  for (int epoch = 0; epoch < choice.epochs; ++epoch) {
    const AugmentKey key{config.seed, augment_stream(stage), epoch};
    for (std::size_t i = 0; i < numbers.size(); ++i)
      train.read_augmented(numbers[i], key, std::span(pixels).subspan(i * info.image_bytes(), info.image_bytes()));
    const std::vector<Picture> trained = batch.seen(training_input(config, input, stage), pixels, epoch);
    for (std::size_t i = 0; i < numbers.size(); ++i) result.images[i].trained.push_back(trained[i]);
  }
  return result;
}

}  // namespace bsq
