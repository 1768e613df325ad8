#include "data/picture_set.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

namespace bsq {
namespace {

/// The values of data.kind whose pictures may have any size.
constexpr std::array<const char*, 2> kPictureKinds = {"image_folder", "webdataset"};

void check_fit(const Config& config, std::vector<Conflict>& conflicts) {
  const DataConfig& data = config.data;
  if (data.image_size > 0 && !has_pictures(config))
    conflicts.push_back(
        {{"data.image_size", "data.kind"},
         fmt::format("data.image_size = {}; the images of {} have their size; leave it out, or set it to 0",
                     data.image_size, data.kind)});
  if (data.resize > 0 && data.resize < data.image_size)
    conflicts.push_back({{"data.resize", "data.image_size"},
                         fmt::format("data.resize = {}; must be at least data.image_size = {}, which is cut out of it",
                                     data.resize, data.image_size)});
  if (data.crop == "random_resized" && (!has_pictures(config) || data.image_size == 0))
    conflicts.push_back(
        {{"data.crop", "data.image_size", "data.kind"},
         fmt::format(
             "data.crop = random_resized; needs data.kind = {} and data.image_size, what a part of a picture is "
             "resized to",
             fmt::join(kPictureKinds, " or "))});
  if (data.resize > 0 && data.image_size == 0)
    conflicts.push_back({{"data.resize", "data.image_size"},
                         fmt::format("data.resize = {}; needs data.image_size, what is cut out of it", data.resize)});
}

void check_splits(const Config& config, std::vector<Conflict>& conflicts) {
  const DataConfig& data = config.data;
  for (const auto& [key, name] : {std::pair{"data.train", data.train}, std::pair{"data.test", data.test}})
    if (!name.empty() && !has_pictures(config))
      conflicts.push_back({{key, "data.kind"},
                           fmt::format("{} = {}; needs data.kind = {}: the splits of {} are its own", key, name,
                                       fmt::join(kPictureKinds, " or "), data.kind)});
  if (!data.cache.empty() && !has_pictures(config))
    conflicts.push_back(
        {{"data.cache", "data.kind"},
         fmt::format("data.cache = {}; needs data.kind = {}", data.cache, fmt::join(kPictureKinds, " or "))});
  if (data.channels != 3 && !has_pictures(config))
    conflicts.push_back({{"data.channels", "data.kind"},
                         fmt::format("data.channels = {}; needs data.kind = {}: the images of {} have three channels",
                                     data.channels, fmt::join(kPictureKinds, " or "), data.kind)});
  if (data.channels == 2)
    conflicts.push_back({{"data.channels"}, "data.channels = 2; must be 3, red, green and blue, or 1, gray"});
  if (!data.train.empty() && data.train == data.test)
    conflicts.push_back({{"data.train", "data.test"},
                         fmt::format("data.train and data.test are both {}; accuracies on training images say nothing, "
                                     "data.holdout takes a part of them out of training",
                                     data.train)});
  if (data.on_error == "skip" && !has_pictures(config))
    conflicts.push_back({{"data.on_error", "data.kind"},
                         fmt::format("data.on_error = skip; needs data.kind = {}", fmt::join(kPictureKinds, " or "))});
  else if (data.on_error == "skip" && data.image_size == 0)
    conflicts.push_back(
        {{"data.on_error", "data.image_size"},
         "data.on_error = skip; needs data.image_size, so that pictures of another size are no errors"});
}

}  // namespace

bool has_pictures(const Config& config) {
  return std::ranges::count(kPictureKinds, config.data.kind) > 0;
}

DataSplits open_by_lists(SplitNames names, const std::function<DataSplits(const SplitNames& names)>& open) {
  if (names.cache.empty()) return open(names);
  try {
    return open(names);
  } catch (const Error&) {
    names.reads_cache = false;
  }
  return open(names);
}

std::vector<std::string> names_of_split(const std::string& given, std::vector<std::string> usual) {
  return given.empty() ? std::move(usual) : std::vector<std::string>{given};
}

std::string describe_split(const DataConfig& data) {
  return " " + data.root + (data.test.empty() ? "" : " (" + data.test + ")");
}

PictureOptions picture_options(const DataConfig& data) {
  PictureOptions options{.fit = fit_of(data)};
  if (data.crop == "random_resized") options.crop = {data.crop_area, data.crop_decode == "reduced"};
  return options;
}

void add_picture_keys(ConfigSchema& schema) {
  const auto is_gray = [](const Config& config) { return config.data.channels != 3; };
  const auto is_fitted = [](const Config& config) { return config.data.image_size > 0; };
  auto data = schema.rows(
      "data", [](auto& config) -> auto& { return config.data; });
  data.add("image_size", &DataConfig::image_size, between(0, kLargestImage.width),
           "of an image_folder or a webdataset: height and width that pictures get, whatever theirs are; 0 = they must "
           "all have one size")
      .applies = has_pictures;
  data.add("resize", &DataConfig::resize, between(0, kLargestImage.width),
           "pixels that the shorter side gets, before the centre of image_size is cut out; 0 = 8/7 of it")
      .applies = is_fitted;
  data.add("interpolation", &DataConfig::interpolation, one_of(interpolation_names()),
           "how pictures are resized: antialiased, as PIL does")
      .applies = is_fitted;
  data.add("channels", &DataConfig::channels, between(1, 3),
           "3: red, green and blue; or 1: pictures become gray as they are read, and mean and std have one number each")
      .applies = is_gray;
  data.add("train", &DataConfig::train, anything(), "folder of the training pictures, within data.root; empty = train")
      .applies = has_pictures;
  data.add("test", &DataConfig::test, anything(), "folder of the test pictures, within data.root; empty = test, or val")
      .applies = has_pictures;
  data.add("cache", &DataConfig::cache, a_folder_that_is_made(),
           "folder that keeps the lists of the pictures, so that a set of millions is known at once; empty = none", "",
           /*may_change_on_resume=*/true)
      .applies = has_pictures;
  data.add(
          "on_error", &DataConfig::on_error, one_of({"stop", "skip"}),
          "what a training picture does that cannot be read: stop the run; or be passed over, counted, and replaced by "
          "another one of its class. One of the test set, or held out, always stops it",
          "", /*may_change_on_resume=*/true)
      .applies = has_pictures;
  schema.add_check("data", check_fit);
  schema.add_check("data", check_splits);
}

ImageSize first_size(std::int64_t count, const std::function<ImageFile(std::int64_t number)>& file) {
  std::exception_ptr first_error;
  for (std::int64_t number = 0; number < count; ++number) {
    try {
      return read_image_size(file(number));
    } catch (const Error&) {
      if (!first_error) first_error = std::current_exception();
    }
  }
  std::rethrow_exception(first_error);
}

PictureSet::PictureSet(DatasetInfo info, std::vector<std::int32_t> labels, const PictureOptions& options,
                       std::vector<std::string> notes)
    : info_(std::move(info)), labels_(std::move(labels)), options_(options), notes_(std::move(notes)) {
  info_.channels = options.fit.channels;
}

void PictureSet::read(std::int64_t number, std::span<std::uint8_t> pixels) const {
  add_remark(number, read_fitted_image(file(number), image_size(), options_.fit, pixels.data()));
}

void PictureSet::read_augmented(std::int64_t number, const AugmentKey& key, std::span<std::uint8_t> pixels) const {
  if (!options_.crop) return read(number, pixels);
  add_remark(number,
             read_cropped_image(file(number), image_size(), options_.fit, *options_.crop, key, number, pixels.data()));
}

std::vector<std::string> PictureSet::notes() const {
  std::vector<std::string> all = notes_;
  const std::lock_guard lock(mutex_);
  for (const auto& [remark, numbers] : remarked_)
    all.push_back(fmt::format("{}: {}{}", name(*numbers.begin()), remark,
                              numbers.size() == 1 ? "" : fmt::format(" (and {} more such files)", numbers.size() - 1)));
  return all;
}

void PictureSet::add_remark(std::int64_t number, const std::string& remark) const {
  if (remark.empty()) return;
  const std::lock_guard lock(mutex_);
  remarked_[remark].insert(number);
}

}  // namespace bsq
