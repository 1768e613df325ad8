// Pictures that lie somewhere as files, and are fitted to one size as they are read: what sets of pictures have in
// common, whatever holds the files.
#pragma once

#include "data/picture_fit.h"
#include "engine/config/config_schema.h"
#include "engine/input/dataset.h"

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace bsq {

/// What of each picture is seen.
struct PictureOptions {
  PictureFit fit = {};
  std::optional<RandomCrop> crop = {};  // what Dataset::read_augmented gives; nothing: what read gives
};

/// The folders of the two splits, within the root of the set; empty: those that are usual.
struct SplitNames {
  std::string train = {};
  std::string test = {};
  std::string cache = {};   // a folder, anywhere, that keeps what they hold (data/listing_cache.h); empty: none does
  bool reads_cache = true;  // whether what is kept there counts
};

/// What `open` makes of the splits. If it fails by lists that are kept, the set is listed anew: they may be made up.
DataSplits open_by_lists(SplitNames names, const std::function<DataSplits(const SplitNames& names)>& open);

/// Whether the kind of data is one of those whose pictures may have any size, and any of their keys.
bool has_pictures(const Config& config);

/// The names by which a split is looked for: the one that was given, or else the usual ones.
std::vector<std::string> names_of_split(const std::string& given, std::vector<std::string> usual);

/// The test set of a configuration, to be put behind the name of its kind: root, and folder if one is given.
std::string describe_split(const DataConfig& data);

/// What a configuration says of training pictures.
PictureOptions picture_options(const DataConfig& data);
/// The keys that say how pictures are fitted, once for all kinds of sets that have them.
void add_picture_keys(ConfigSchema& schema);

/// The size of the first picture of so many that says one: those before it are named when they are read. Throws the
/// error of the first if none does.
ImageSize first_size(std::int64_t count, const std::function<ImageFile(std::int64_t number)>& file);

class PictureSet : public Dataset {
 public:
  const DatasetInfo& info() const override { return info_; }
  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }
  std::int32_t label(std::int64_t number) const override { return labels_.at(static_cast<std::size_t>(number)); }
  void read(std::int64_t number, std::span<std::uint8_t> pixels) const override;
  bool augments() const override { return options_.crop.has_value(); }
  void read_augmented(std::int64_t number, const AugmentKey& key, std::span<std::uint8_t> pixels) const override;
  /// What was said at the beginning, then what readers had to say of pictures.
  std::vector<std::string> notes() const override;

 protected:
  PictureSet(DatasetInfo info, std::vector<std::int32_t> labels, const PictureOptions& options,
             std::vector<std::string> notes);

 private:
  /// Throws Error(data). Called by several threads at once.
  virtual ImageFile file(std::int64_t number) const = 0;
  void add_remark(std::int64_t number, const std::string& remark) const;
  ImageSize image_size() const { return {info_.height, info_.width}; }

  DatasetInfo info_;
  std::vector<std::int32_t> labels_;
  PictureOptions options_;
  std::vector<std::string> notes_;
  mutable std::mutex mutex_;                                        // of what follows
  mutable std::map<std::string, std::set<std::int64_t>> remarked_;  // the pictures by remark
};

}  // namespace bsq
