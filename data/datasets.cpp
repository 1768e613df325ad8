// The table, the limit of images per class, and the checks that hold for every kind.
#include "data/datasets.h"

#include "data/augmentations/augmentations.h"
#include "data/cifar.h"
#include "data/image_folder.h"
#include "data/passed_over.h"
#include "data/synthetic.h"
#include "data/webdataset.h"
#include "kernels/base/error.h"
#include "kernels/base/hash.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace bsq {
namespace {

const DatasetKind& kind_of(const Config& config) {
  std::vector<std::string> names;
  for (const DatasetKind& kind : dataset_kinds()) {
    if (kind.name == config.data.kind) return kind;
    names.push_back(kind.name);
  }
  fail(ErrorKind::usage, "data.kind '{}'; must be one of {}", config.data.kind, fmt::join(names, ", "));
}

/// Images of zeros, their classes in turn.
class BlankSet final : public Dataset {
 public:
  BlankSet(DatasetInfo info, std::int64_t size) : info_(std::move(info)), size_(size) {}

  const DatasetInfo& info() const override { return info_; }
  std::int64_t size() const override { return size_; }
  std::int32_t label(std::int64_t number) const override {
    return static_cast<std::int32_t>(number % info_.num_classes());
  }
  void read(std::int64_t /*number*/, std::span<std::uint8_t> pixels) const override {
    std::fill(pixels.begin(), pixels.end(), std::uint8_t{0});
  }

 private:
  DatasetInfo info_;
  std::int64_t size_;
};

/// Some images of another set.
class Selection final : public Dataset {
 public:
  Selection(std::shared_ptr<const Dataset> set, std::vector<std::int32_t> numbers)
      : set_(std::move(set)), numbers_(std::move(numbers)) {}

  const DatasetInfo& info() const override { return set_->info(); }
  std::int64_t size() const override { return static_cast<std::int64_t>(numbers_.size()); }
  std::int32_t label(std::int64_t number) const override { return set_->label(of_set(number)); }
  void read(std::int64_t number, std::span<std::uint8_t> pixels) const override { set_->read(of_set(number), pixels); }
  bool augments() const override { return set_->augments(); }
  void read_augmented(std::int64_t number, const AugmentKey& key, std::span<std::uint8_t> pixels) const override {
    set_->read_augmented(of_set(number), key, pixels);
  }
  std::uint64_t identity(std::int64_t number) const override { return set_->identity(of_set(number)); }
  std::string name(std::int64_t number) const override { return set_->name(of_set(number)); }
  std::vector<std::string> notes() const override { return set_->notes(); }

 private:
  std::int64_t of_set(std::int64_t number) const { return numbers_.at(static_cast<std::size_t>(number)); }

  std::shared_ptr<const Dataset> set_;
  std::vector<std::int32_t> numbers_;
};

/// Takes `share` of the images of every class out of the training set, those of the smallest hashes: the same ones for
/// every seed, whatever else is in the set.
void hold_out(double share, const std::string& where, DataSplits& splits) {
  const std::shared_ptr<const Dataset> whole = std::move(splits.train);
  const std::vector<std::string>& names = whole->info().class_names;
  std::vector<std::vector<std::pair<std::uint64_t, std::int32_t>>> of_class(names.size());  // hash and number
  for (std::int64_t i = 0; i < whole->size(); ++i)
    of_class.at(static_cast<std::size_t>(whole->label(i)))
        .emplace_back(hash_of(fmt::format("{:016x}", whole->identity(i))), static_cast<std::int32_t>(i));
  std::vector<bool> is_held(static_cast<std::size_t>(whole->size()));
  for (std::size_t label = 0; label < of_class.size(); ++label) {
    auto& images = of_class[label];
    const auto count = std::max<std::int64_t>(std::llround(share * static_cast<double>(images.size())), 1);
    if (std::ssize(images) < 2)
      fail(ErrorKind::data,
           "{}: class '{}' has {} image, and data.holdout = {:g} needs two: one to train on, one held out", where,
           names[label], images.size(), share);
    std::ranges::sort(images);
    for (std::int64_t i = 0; i < count; ++i)
      is_held[static_cast<std::size_t>(images[static_cast<std::size_t>(i)].second)] = true;
  }
  std::vector<std::int32_t> held, left;
  for (std::size_t i = 0; i < is_held.size(); ++i) (is_held[i] ? held : left).push_back(static_cast<std::int32_t>(i));
  splits.train = std::make_unique<Selection>(whole, std::move(left));
  splits.holdout = std::make_unique<Selection>(whole, std::move(held));
}

/// The images that are asked for, after the checks that hold for every kind, and with what is done to those of
/// training.
DataSplits choose(const Config& config, DataSplits splits) {
  const DataConfig& data = config.data;
  const std::string where = data.root.empty() ? data.kind : data.root;
  splits.train = take_per_class(std::move(splits.train), data.train_per_class, where + ": train");
  splits.test = take_per_class(std::move(splits.test), data.test_per_class, where + ": test");
  validate(splits, where);
  if (data.holdout > 0) hold_out(data.holdout, where, splits);
  if (data.on_error == "skip") splits.train = with_errors_passed_over(std::move(splits.train));
  splits.train = with_augmentations(std::move(splits.train), config);
  return splits;
}

}  // namespace

const std::vector<DatasetKind>& dataset_kinds() {
  static const std::vector<DatasetKind> table = {
      {{"synthetic", add_synthetic_keys}, open_synthetic, describe_synthetic},
      {{"cifar10", add_cifar10_keys}, open_cifar10, nullptr, cifar10_sizes},
      {{"cifar100", add_cifar100_keys}, open_cifar100, nullptr, cifar100_sizes},
      {{"image_folder", add_image_folder_keys}, open_image_folder, describe_image_folder},
      {{"webdataset", add_webdataset_keys}, open_webdataset, describe_webdataset},
  };
  return table;
}

std::optional<DatasetInfo> known_images(const Config& config) {
  const DatasetKind& kind = kind_of(config);
  return kind.known_sizes == nullptr ? std::nullopt : std::optional(kind.known_sizes().info);
}

DataSplits open_datasets(const Config& config) {
  return choose(config, kind_of(config).open(config));
}

bool is_planned_blank(const Config& config) {
  return config.data.root.empty() && kind_of(config).known_sizes != nullptr;
}

DataSplits open_planned_datasets(const Config& config) {
  if (!is_planned_blank(config)) return open_datasets(config);
  const KnownSizes sizes = kind_of(config).known_sizes();
  return choose(config, {std::make_unique<BlankSet>(sizes.info, sizes.train),
                         std::make_unique<BlankSet>(sizes.info, sizes.test)});
}

std::unique_ptr<const Dataset> open_test_set(Config config) {
  config.data.train_per_class = 1;  // as few as it can be
  config.data.holdout = 0;
  return open_datasets(config).test;
}

std::string describe_test_set(const Config& config) {
  const DatasetKind& kind = kind_of(config);
  std::string text = kind.name;
  if (kind.describe != nullptr) text += kind.describe(config);
  if (config.data.test_per_class > 0) text += fmt::format(", {} test images per class", config.data.test_per_class);
  return text;
}

std::unique_ptr<const Dataset> take_per_class(std::unique_ptr<const Dataset> set, int per_class,
                                              const std::string& where) {
  if (per_class == 0) return set;
  const std::vector<std::string>& names = set->info().class_names;
  std::vector<int> taken(names.size(), 0);
  std::vector<std::int32_t> numbers;
  for (std::int64_t i = 0; i < set->size(); ++i) {
    int& count = taken.at(static_cast<std::size_t>(set->label(i)));
    if (count == per_class) continue;
    ++count;
    numbers.push_back(static_cast<std::int32_t>(i));
  }
  for (std::size_t label = 0; label < taken.size(); ++label) {
    if (taken[label] < per_class) {
      fail(ErrorKind::data, "{}: class '{}' has {} images, but {} of each class are asked for", where, names[label],
           taken[label], per_class);
    }
  }
  return std::make_unique<Selection>(std::move(set), std::move(numbers));
}

}  // namespace bsq
