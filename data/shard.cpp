#include "data/shard.h"

#include "data/image_file.h"
#include "data/listing_cache.h"
#include "engine/base/text.h"
#include "engine/files/posix_file.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace bsq {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLongestLabel = 1 << 20;  // bytes of a .cls or .json

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
  explicit ShardReader(const fs::path& archive) : archive_(archive) {}

  Shard read() {
    for (const TarEntry& entry : list_tar(archive_)) {
      const auto name = key_and_ending(entry.name);
      if (!name) continue;
      if (name->first != sample_.key) {
        finish_sample();
        sample_.key = name->first;
      }
      add(entry, name->second);
    }
    finish_sample();
    return std::move(shard_);
  }

 private:
  std::string shown(const std::string& name) const {
    return fmt::format("{}: {}", archive_.string(), shown_name(name));
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
      ++shard_.passed_over[ending.empty() ? "without ending" : ending.substr(ending.rfind('.'))];
    }
  }

  void finish_sample() {
    const Sample sample = std::exchange(sample_, {});
    if (!sample.picture) {
      if (sample.cls || sample.json) ++shard_.passed_over["class without a picture"];
      return;
    }
    if (sample.picture->bytes > static_cast<std::int64_t>(kLargestImageFileBytes))
      fail(ErrorKind::data, "{}: {} bytes; image files up to {} bytes are read", shown(sample.picture->name),
           sample.picture->bytes, kLargestImageFileBytes);
    if (!sample.cls && !sample.json)
      fail(ErrorKind::data, "{}: no class beside it; expected {}.cls or {}.json next to it",
           shown(sample.picture->name), shown_name(sample.key), shown_name(sample.key));
    shard_.pictures.push_back(*sample.picture);
    shard_.classes.push_back(sample.cls ? class_of_text(*sample.cls) : class_of_json(*sample.json));
  }

  std::string text_of(const TarEntry& entry) const {
    if (entry.bytes > kLongestLabel)
      fail(ErrorKind::data, "{}: {} bytes, {} at most", shown(entry.name), entry.bytes, kLongestLabel);
    const std::vector<std::uint8_t> bytes = read_part(archive_, entry);
    return {bytes.begin(), bytes.end()};
  }

  std::string class_of_text(const TarEntry& entry) const {
    constexpr const char* kSpaces = " \t\r\n";
    std::string text = text_of(entry);
    text.erase(0, std::min(text.find_first_not_of(kSpaces), text.size()));
    text.erase(text.find_last_not_of(kSpaces) + 1);
    if (text.empty() || text.find_first_of(std::string_view("\n\0", 2)) != std::string::npos)
      fail(ErrorKind::data, "{}: no class, which is one number or name", shown(entry.name));
    return text;
  }

  std::string class_of_json(const TarEntry& entry) const {
    const nlohmann::json json = parse_json_or_discard<nlohmann::json>(text_of(entry));
    for (const char* key : {"label", "cls"}) {
      if (!json.is_object() || !json.contains(key)) continue;
      const nlohmann::json& value = json.at(key);
      if (value.is_number_integer()) return value.dump();
      if (!value.is_string()) continue;
      const auto& text = value.get_ref<const std::string&>();
      if (!text.empty() && text.find('\0') == std::string::npos) return text;
    }
    fail(ErrorKind::data, "{}: no class; expected a JSON object whose 'label' or 'cls' is a number or a name",
         shown(entry.name));
  }

  fs::path archive_;
  Shard shard_;
  Sample sample_;
};

}  // namespace

Shard read_shard(const fs::path& archive) {
  return ShardReader(archive).read();
}

std::vector<std::uint8_t> read_part(const fs::path& archive, const TarEntry& entry) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(entry.bytes));
  PosixFile::open_regular(archive, ErrorKind::data).read_at(entry.offset, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

nlohmann::json to_listing(const Shard& shard) {
  std::vector<std::string> names;
  std::vector<std::int64_t> places;  // offset and length, picture after picture
  for (const TarEntry& picture : shard.pictures) {
    names.push_back(picture.name);
    places.insert(places.end(), {picture.offset, picture.bytes});
  }
  return {{"names", joined_names(names)},
          {"places", places},
          {"classes", joined_names(shard.classes)},
          {"passed_over", shard.passed_over}};
}

Shard shard_of(const nlohmann::json& listing) {
  Shard shard;
  std::vector<std::string> names = split_names(listing.at("names").get_ref<const std::string&>());
  const auto places = listing.at("places").get<std::vector<std::int64_t>>();
  for (std::size_t i = 0; i < names.size(); ++i)
    shard.pictures.push_back({std::move(names[i]), places.at(2 * i), places.at(2 * i + 1)});
  shard.classes = split_names(listing.at("classes").get_ref<const std::string&>());
  shard.passed_over = listing.at("passed_over").get<std::map<std::string, int>>();
  return shard;
}

}  // namespace bsq
