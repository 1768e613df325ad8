#include "data/augmentations/augmentations.h"

#include "data/augmentations/color_jitter.h"
#include "data/augmentations/rand_augment.h"
#include "data/augmentations/random_erasing.h"

#include <utility>

namespace bsq {
namespace {

struct Step {
  std::uint32_t draws;
  std::unique_ptr<const PictureAugmentation> augmentation;
};

class AugmentedSet final : public Dataset {
 public:
  AugmentedSet(std::unique_ptr<const Dataset> set, std::vector<Step> steps)
      : set_(std::move(set)), steps_(std::move(steps)) {}

  const DatasetInfo& info() const override { return set_->info(); }
  std::int64_t size() const override { return set_->size(); }
  std::int32_t label(std::int64_t number) const override { return set_->label(number); }
  void read(std::int64_t number, std::span<std::uint8_t> pixels) const override { set_->read(number, pixels); }
  bool augments() const override { return true; }
  void read_augmented(std::int64_t number, const AugmentKey& key, std::span<std::uint8_t> pixels) const override {
    set_->read_augmented(number, key, pixels);
    const PictureView picture{info().height, info().width, pixels, info().channels};
    for (const Step& step : steps_) {
      PictureDraws draws(key, number, step.draws);
      step.augmentation->apply(picture, draws);
    }
  }
  std::uint64_t identity(std::int64_t number) const override { return set_->identity(number); }
  std::string name(std::int64_t number) const override { return set_->name(number); }
  std::vector<std::string> notes() const override { return set_->notes(); }

 private:
  std::unique_ptr<const Dataset> set_;
  std::vector<Step> steps_;
};

}  // namespace

const std::vector<Augmentation>& augmentations() {
  static const std::vector<Augmentation> table = {
      {{"policy", add_policy_keys}, 1, make_policy},
      {{"color_jitter", add_color_jitter_keys}, 2, make_color_jitter},
      {{"random_erasing", add_random_erasing_keys}, 3, make_random_erasing},
  };
  return table;
}

std::unique_ptr<const Dataset> with_augmentations(std::unique_ptr<const Dataset> train, const Config& config) {
  std::vector<Step> steps;
  for (const Augmentation& line : augmentations())
    if (auto augmentation = line.make(config)) steps.push_back({line.draws, std::move(augmentation)});
  if (steps.empty()) return train;
  return std::make_unique<AugmentedSet>(std::move(train), std::move(steps));
}

}  // namespace bsq
