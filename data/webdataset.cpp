// All archives are listed first, each header of a file read once: that finds most mistakes, and a picture then is one
// read at its place.
#include "data/webdataset.h"

#include "data/files.h"
#include "data/image_file.h"
#include "data/listing_cache.h"
#include "data/shard.h"
#include "engine/base/text.h"
#include "kernels/base/error.h"
#include "kernels/base/hash.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace bsq {
namespace {

namespace fs = std::filesystem;

constexpr int kMostClasses = 1 << 20;

/// Where the file of a picture lies.
struct StoredPicture {
  std::size_t archive = 0;
  TarEntry entry;
};

/// One split, with classes as the files have them.
struct Shards {
  std::string name;  // of the split, in messages
  std::vector<fs::path> archives;
  std::vector<StoredPicture> pictures;     // in set order
  std::vector<std::string> classes;        // of each picture
  std::map<std::string, int> passed_over;  // how many files of which ending
  std::vector<std::string> notes;

  /// Adds the samples of the last archive.
  void add(Shard shard) {
    for (TarEntry& picture : shard.pictures) pictures.push_back({archives.size() - 1, std::move(picture)});
    std::ranges::move(shard.classes, std::back_inserter(classes));
    for (const auto& [ending, count] : shard.passed_over) passed_over[ending] += count;
  }
};

std::string name_of(const fs::path& archive, const TarEntry& entry) {
  return fmt::format("{}: {}", archive.string(), shown_name(entry.name));
}

ImageFile file_of(const fs::path& archive, const TarEntry& entry) {
  return {name_of(archive, entry), read_part(archive, entry)};
}

bool ends_as_archive(const std::string& name) {
  return name.size() > 4 && name.ends_with(".tar") && name.front() != '.';
}

/// The archives in `folder` whose names begin so, by name.
std::vector<fs::path> archives_in(const fs::path& folder, const std::string& beginning) {
  std::vector<fs::path> archives;
  std::error_code why;
  for (fs::directory_iterator entry(folder, why), end; !why && entry != end; entry.increment(why)) {
    const std::string name = entry->path().filename().string();
    if (ends_as_archive(name) && name.starts_with(beginning)) archives.push_back(entry->path());
  }
  if (why) fail(ErrorKind::data, "{}: cannot be read: {}", folder.string(), why.message());
  std::ranges::sort(archives);
  return archives;
}

Shard look_into(const fs::path& archive, ListingCache& cache) {
  std::error_code ignored;
  if (const KeptList* kept = cache.find(archive))
    if (auto shard = shard_of(*kept, static_cast<std::int64_t>(fs::file_size(archive, ignored))))
      return *std::move(shard);
  Shard shard = read_shard(archive);
  if (cache.keeps()) cache.keep(archive, to_list(shard));
  return shard;
}

/// The archives of the first of these splits that has any.
Shards read_split(const fs::path& root, const std::vector<std::string>& names, const SplitNames& splits) {
  Shards shards;
  for (const std::string& name : names) {
    std::error_code ignored;
    if (fs::is_directory(root / name, ignored)) shards.archives = archives_in(root / name, "");
    if (shards.archives.empty()) shards.archives = archives_in(root, name);
    shards.name = (root / name).string();
    if (!shards.archives.empty()) break;
  }
  if (shards.archives.empty())
    fail(ErrorKind::data,
         "data.root '{}': no archives of the split '{}'; expected {}/*.tar or {}*.tar in it (not "
         "compressed)",
         root.string(), fmt::join(names, "' or '"), names.front(), names.front());
  const std::vector<fs::path> archives = std::exchange(shards.archives, {});
  ListingCache cache(splits.cache, "webdataset", shards.name, splits.reads_cache);
  for (const fs::path& archive : archives) {
    shards.archives.push_back(archive);
    shards.add(look_into(archive, cache));
  }
  shards.notes = cache.save();
  if (shards.pictures.empty()) fail(ErrorKind::data, "{}: no pictures in its archives", shards.name);
  return shards;
}

/// What classes are called; a picture's is a place in it.
class ClassTable {
 public:
  /// Of the classes that the training set has.
  ClassTable(const Shards& train, const fs::path& root) {
    const std::set<std::string> found(train.classes.begin(), train.classes.end());
    are_numbers_ = std::ranges::all_of(found, [](const std::string& name) { return number_in(name).has_value(); });
    if (!are_numbers_) {
      for (const std::string& name : found) add(name, shown_name(name));
    } else {
      read_names(root);
      int most = 0;
      for (const std::string& name : found) most = std::max(most, *number_in(name));
      for (int number = 0; !is_named_ && number <= most; ++number) add(std::to_string(number), std::to_string(number));
    }
    if (names_.size() < 2)
      fail(ErrorKind::data, "{}: {} class{} in its archives, at least two are needed", train.name, names_.size(),
           names_.size() == 1 ? "" : "es");
  }

  const std::vector<std::string>& names() const { return names_; }

  /// The labels of a split, which has all classes and no other.
  std::vector<std::int32_t> labels_of(const Shards& shards) const {
    std::vector<std::int32_t> labels;
    std::vector<bool> is_there(names_.size());
    for (std::size_t i = 0; i < shards.classes.size(); ++i) {
      const auto number = number_in(shards.classes[i]);
      const auto found = places_.find(are_numbers_ && number ? std::to_string(*number) : shards.classes[i]);
      if (found == places_.end()) {
        const StoredPicture& picture = shards.pictures[i];
        fail(ErrorKind::data, "{}: {}: class '{}' is not one of {}", shards.archives[picture.archive].string(),
             shown_name(picture.entry.name), shown_name(shards.classes[i]),
             is_named_ ? "those that classes.txt names" : "the training set");
      }
      labels.push_back(found->second);
      is_there[static_cast<std::size_t>(found->second)] = true;
    }
    for (std::size_t label = 0; label < is_there.size(); ++label)
      if (!is_there[label])
        fail(ErrorKind::data, "{}: no picture of class '{}'{}", shards.name, names_[label],
             are_numbers_ ? "; classes are counted from 0" : "");
    return labels;
  }

 private:
  static std::optional<int> number_in(const std::string& text) {
    int value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc() || end != text.data() + text.size() || value < 0 || value >= kMostClasses)
      return std::nullopt;
    return value;
  }

  void add(const std::string& in_files, const std::string& name) {
    places_.emplace(in_files, static_cast<std::int32_t>(names_.size()));
    names_.push_back(name);
  }

  void read_names(const fs::path& root) {
    std::error_code ignored;
    const fs::path file = root / "classes.txt";
    if (!fs::exists(file, ignored)) return;
    is_named_ = true;
    const std::vector<std::uint8_t> bytes = read_file(file);
    std::vector<std::string> lines = lines_of({bytes.begin(), bytes.end()});
    while (!lines.empty() && lines.back().empty()) lines.pop_back();
    for (const std::string& line : lines) {
      if (line.empty())
        fail(ErrorKind::data, "{}: line {} is empty; each line is the name of a class", file.string(),
             names_.size() + 1);
      add(std::to_string(names_.size()), shown_name(line));
    }
  }

  static std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      lines.push_back(text.substr(begin, end - begin));
      if (!lines.back().empty() && lines.back().back() == '\r') lines.back().pop_back();
      begin = end + 1;
    }
    return lines;
  }

  bool are_numbers_ = false;
  bool is_named_ = false;  // by classes.txt
  std::vector<std::string> names_;
  std::map<std::string, std::int32_t> places_;  // by what files say
};

class WebDataset final : public PictureSet {
 public:
  WebDataset(DatasetInfo info, Shards shards, std::vector<std::int32_t> labels, const PictureOptions& options,
             std::vector<std::string> notes)
      : PictureSet(std::move(info), std::move(labels), options, std::move(notes)),
        archives_(std::move(shards.archives)),
        pictures_(std::move(shards.pictures)) {}

  std::uint64_t identity(std::int64_t number) const override {
    const TarEntry& entry = picture(number).entry;
    return hash_of(entry.name, static_cast<std::uint64_t>(entry.bytes));
  }
  std::string name(std::int64_t number) const override {
    const StoredPicture& stored = picture(number);
    return name_of(archives_[stored.archive], stored.entry);
  }

 private:
  const StoredPicture& picture(std::int64_t number) const { return pictures_.at(static_cast<std::size_t>(number)); }
  ImageFile file(std::int64_t number) const override {
    const StoredPicture& stored = picture(number);
    return file_of(archives_[stored.archive], stored.entry);
  }

  std::vector<fs::path> archives_;
  std::vector<StoredPicture> pictures_;
};

std::vector<std::string> notes_of(const Shards& shards) {
  std::vector<std::string> notes = shards.notes;
  if (shards.passed_over.empty()) return notes;
  constexpr std::size_t kMostKinds = 8;
  std::vector<std::string> kinds;
  for (const auto& [ending, count] : shards.passed_over) {
    kinds.push_back(fmt::format("{} {}", count, shown_name(ending)));
    if (kinds.size() == kMostKinds) break;
  }
  notes.push_back(fmt::format("{}: files that are passed over: {}{}", shards.name, fmt::join(kinds, ", "),
                              shards.passed_over.size() > kMostKinds ? ", ..." : ""));
  return notes;
}

DataSplits open_archive_splits(const fs::path& root, int image_size, const PictureOptions& options,
                               const SplitNames& names) {
  Shards train = read_split(root, names_of_split(names.train, {"train"}), names),
         test = read_split(root, names_of_split(names.test, {"test", "val"}), names);
  for (const fs::path& archive : train.archives)
    if (std::error_code unknown; std::ranges::any_of(
            test.archives, [&](const fs::path& other) { return fs::equivalent(archive, other, unknown); }))
      fail(ErrorKind::data, "{}: is an archive of both splits, training and test; name them so that they differ",
           archive.string());
  const ClassTable classes(train, root);
  const ImageSize size = image_size > 0
                             ? ImageSize{image_size, image_size}
                             : first_size(std::ssize(train.pictures), [&](std::int64_t number) {
                                 const StoredPicture& picture = train.pictures[static_cast<std::size_t>(number)];
                                 return file_of(train.archives[picture.archive], picture.entry);
                               });
  const auto open = [&](Shards shards, const PictureOptions& seen) {
    std::vector<std::int32_t> labels = classes.labels_of(shards);
    std::vector<std::string> notes = notes_of(shards);
    return std::make_unique<WebDataset>(DatasetInfo{size.height, size.width, classes.names()}, std::move(shards),
                                        std::move(labels), seen, std::move(notes));
  };
  return {open(std::move(train), options), open(std::move(test), {options.fit, {}})};
}

}  // namespace

DataSplits open_webdataset(const fs::path& root, int image_size, const PictureOptions& options,
                           const SplitNames& names) {
  std::error_code ignored;
  if (!fs::is_directory(root, ignored)) fail(ErrorKind::data, "data.root '{}': no such folder", root.string());
  return open_by_lists(
      names, [&](const SplitNames& splits) { return open_archive_splits(root, image_size, options, splits); });
}

void add_webdataset_keys(ConfigSchema& schema) {
  need_root(schema, "webdataset", true);
}

DataSplits open_webdataset(const Config& config) {
  return open_webdataset(config.data.root, config.data.image_size, picture_options(config.data),
                         {config.data.train, config.data.test, config.data.cache});
}

std::string describe_webdataset(const Config& config) {
  return describe_split(config.data);
}

}  // namespace bsq
