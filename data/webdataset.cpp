// All archives are listed first, each header of a file read once: that finds most mistakes, and a picture then is one
// read at its place.
#include "data/webdataset.h"

#include "data/files.h"
#include "data/image_file.h"
#include "data/tar.h"
#include "engine/base/text.h"
#include "engine/files/json.h"
#include "engine/files/posix_file.h"
#include "kernels/base/error.h"
#include "kernels/base/hash.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace bsq {
namespace {

namespace fs = std::filesystem;

constexpr int kMostClasses = 1 << 20;
constexpr std::int64_t kLongestLabel = 1 << 20;  // bytes of a .cls or .json

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
};

std::vector<std::uint8_t> read_part(const fs::path& archive, const TarEntry& entry) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(entry.bytes));
  PosixFile::open_regular(archive, ErrorKind::data).read_at(entry.offset, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

std::string name_of(const fs::path& archive, const TarEntry& entry) {
  return fmt::format("{}: {}", archive.string(), shown_name(entry.name));
}

ImageFile file_of(const fs::path& archive, const TarEntry& entry) {
  return {name_of(archive, entry), read_part(archive, entry)};
}

/// The files of one sample.
struct Sample {
  std::string key;  // folders and name up to the first dot
  std::optional<TarEntry> picture;
  std::optional<TarEntry> cls;
  std::optional<TarEntry> json;
};

std::string in_small_letters(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return text;
}

/// A name of an archive, cut at the first dot behind its folders; nothing if it is hidden.
std::optional<std::pair<std::string, std::string>> key_and_ending(const std::string& name) {
  const std::size_t folder = name.rfind('/'), begin = folder == std::string::npos ? 0 : folder + 1;
  const std::size_t dot = std::min(name.find('.', begin), name.size());
  if (dot == begin) return std::nullopt;
  return std::pair(name.substr(0, dot), in_small_letters(name.substr(dot)));
}

class ShardReader {
 public:
  explicit ShardReader(Shards& shards) : shards_(shards) {}

  /// Adds the samples of the last archive.
  void read() {
    for (const TarEntry& entry : list_tar(archive())) {
      const auto name = key_and_ending(entry.name);
      if (!name) continue;
      if (name->first != sample_.key) {
        finish_sample();
        sample_.key = name->first;
      }
      add(entry, name->second);
    }
    finish_sample();
  }

 private:
  const fs::path& archive() const { return shards_.archives.back(); }
  std::string shown(const std::string& name) const {
    return fmt::format("{}: {}", archive().string(), shown_name(name));
  }

  void add(const TarEntry& entry, const std::string& ending) {
    if (has_image_name("picture" + ending) && ending.rfind('.') == 0) {
      if (sample_.picture) fail(ErrorKind::data, "{}: a second picture of this sample", shown(entry.name));
      sample_.picture = entry;
    } else if (ending == ".cls") {
      sample_.cls = entry;
    } else if (ending == ".json") {
      sample_.json = entry;
    } else {
      ++shards_.passed_over[ending.empty() ? "without ending" : ending.substr(ending.rfind('.'))];
    }
  }

  void finish_sample() {
    const Sample sample = std::exchange(sample_, {});
    if (!sample.picture) {
      if (sample.cls || sample.json) ++shards_.passed_over["class without a picture"];
      return;
    }
    if (sample.picture->bytes > static_cast<std::int64_t>(kLargestImageFileBytes))
      fail(ErrorKind::data, "{}: {} bytes; image files up to {} bytes are read", shown(sample.picture->name),
           sample.picture->bytes, kLargestImageFileBytes);
    if (!sample.cls && !sample.json)
      fail(ErrorKind::data, "{}: no class beside it; expected {}.cls or {}.json next to it",
           shown(sample.picture->name), shown_name(sample.key), shown_name(sample.key));
    shards_.pictures.push_back({shards_.archives.size() - 1, *sample.picture});
    shards_.classes.push_back(sample.cls ? class_of_text(*sample.cls) : class_of_json(*sample.json));
  }

  std::string text_of(const TarEntry& entry) const {
    if (entry.bytes > kLongestLabel)
      fail(ErrorKind::data, "{}: {} bytes, {} at most", shown(entry.name), entry.bytes, kLongestLabel);
    const std::vector<std::uint8_t> bytes = read_part(archive(), entry);
    return {bytes.begin(), bytes.end()};
  }

  std::string class_of_text(const TarEntry& entry) const {
    constexpr const char* kSpaces = " \t\r\n";
    std::string text = text_of(entry);
    text.erase(0, std::min(text.find_first_not_of(kSpaces), text.size()));
    text.erase(text.find_last_not_of(kSpaces) + 1);
    if (text.empty() || text.find('\n') != std::string::npos)
      fail(ErrorKind::data, "{}: no class, which is one number or name", shown(entry.name));
    return text;
  }

  std::string class_of_json(const TarEntry& entry) const {
    const nlohmann::json json = parse_json_or_discard<nlohmann::json>(text_of(entry));
    for (const char* key : {"label", "cls"}) {
      if (!json.is_object() || !json.contains(key)) continue;
      const nlohmann::json& value = json.at(key);
      if (value.is_number_integer()) return value.dump();
      if (value.is_string() && !value.get<std::string>().empty()) return value;
    }
    fail(ErrorKind::data, "{}: no class; expected a JSON object whose 'label' or 'cls' is a number or a name",
         shown(entry.name));
  }

  Shards& shards_;
  Sample sample_;
};

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

/// The archives of the first of these splits that has any.
Shards read_split(const fs::path& root, const std::vector<std::string>& names) {
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
  for (const fs::path& archive : archives) {
    shards.archives.push_back(archive);
    ShardReader(shards).read();
  }
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
  if (shards.passed_over.empty()) return {};
  constexpr std::size_t kMostKinds = 8;
  std::vector<std::string> kinds;
  for (const auto& [ending, count] : shards.passed_over) {
    kinds.push_back(fmt::format("{} {}", count, shown_name(ending)));
    if (kinds.size() == kMostKinds) break;
  }
  return {fmt::format("{}: files that are passed over: {}{}", shards.name, fmt::join(kinds, ", "),
                      shards.passed_over.size() > kMostKinds ? ", ..." : "")};
}

}  // namespace

DataSplits open_webdataset(const fs::path& root, int image_size, const PictureOptions& options,
                           const SplitNames& names) {
  std::error_code ignored;
  if (!fs::is_directory(root, ignored)) fail(ErrorKind::data, "data.root '{}': no such folder", root.string());
  Shards train = read_split(root, names_of_split(names.train, {"train"})),
         test = read_split(root, names_of_split(names.test, {"test", "val"}));
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

void add_webdataset_keys(ConfigSchema& schema) {
  need_root(schema, "webdataset", true);
}

DataSplits open_webdataset(const Config& config) {
  return open_webdataset(config.data.root, config.data.image_size, picture_options(config.data),
                         {config.data.train, config.data.test});
}

std::string describe_webdataset(const Config& config) {
  return describe_split(config.data);
}

}  // namespace bsq
