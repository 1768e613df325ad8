#include "data/shard.h"

#include "data/image_file.h"
#include "engine/base/text.h"
#include "engine/files/json.h"
#include "engine/files/posix_file.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <cctype>
#include <limits>
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

/// Where the ending of a name of an archive begins, at the first dot behind its folders; nothing if it is hidden.
std::optional<std::size_t> begin_of_ending(std::string_view name) {
  const std::size_t folder = name.rfind('/'), begin = folder == std::string_view::npos ? 0 : folder + 1;
  const std::size_t dot = std::min(name.find('.', begin), name.size());
  return dot == begin ? std::nullopt : std::optional(dot);
}

/// A name of an archive, cut there; nothing if it is hidden.
std::optional<std::pair<std::string, std::string>> key_and_ending(const std::string& name) {
  const std::optional<std::size_t> dot = begin_of_ending(name);
  if (!dot) return std::nullopt;
  return std::pair(name.substr(0, *dot), in_small_letters(name.substr(*dot)));
}

/// Whether a file with this ending, behind the key of its sample, is its picture: `.png`, but not `.mask.png`.
bool is_picture(const std::string& ending) {
  return ending.rfind('.') == 0 && has_image_name("picture" + ending);
}

/// Whether ShardReader may have found these in an archive of so many bytes: one behind the other, each behind a header.
bool can_be_samples(const Shard& shard, std::int64_t archive_bytes) {
  std::int64_t place = 0;
  std::string_view last_ending;
  for (const TarEntry& picture : shard.pictures) {
    const std::optional<std::size_t> dot = begin_of_ending(picture.name);
    if (!dot) return false;
    const std::string_view ending = std::string_view(picture.name).substr(*dot);
    if (ending != last_ending && !is_picture(in_small_letters(std::string(ending)))) return false;
    last_ending = ending;
    if (picture.offset < place + kTarBlock || picture.offset % kTarBlock != 0) return false;
    if (picture.bytes < 0 || picture.bytes > static_cast<std::int64_t>(kLargestImageFileBytes) ||
        picture.offset > archive_bytes - picture.bytes)
      return false;
    place = picture.offset + picture.bytes;
  }
  return std::ranges::none_of(shard.classes, [](const std::string& name) { return name.empty(); });
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
    if (is_picture(ending)) {
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

// Texts: names of the pictures, their classes, endings of what is passed over. Numbers: offset and length, picture
// after picture; then how many files have which ending.
KeptList to_list(const Shard& shard) {
  std::vector<std::string> names, endings;
  std::vector<std::int64_t> numbers;
  for (const TarEntry& picture : shard.pictures) {
    names.push_back(picture.name);
    numbers.insert(numbers.end(), {picture.offset, picture.bytes});
  }
  for (const auto& [ending, count] : shard.passed_over) {
    endings.push_back(ending);
    numbers.push_back(count);
  }
  return {{joined_names(names), joined_names(shard.classes), joined_names(endings)}, std::move(numbers)};
}

std::optional<Shard> shard_of(const KeptList& list, std::int64_t archive_bytes) {
  if (list.texts.size() != 3) return std::nullopt;
  auto names = split_names(list.texts[0]), classes = split_names(list.texts[1]), endings = split_names(list.texts[2]);
  if (!names || !classes || !endings || classes->size() != names->size() ||
      list.numbers.size() != 2 * names->size() + endings->size())
    return std::nullopt;
  Shard shard;
  std::span<const std::int64_t> numbers = list.numbers;
  for (std::string& name : *names) {
    shard.pictures.push_back({std::move(name), numbers[0], numbers[1]});
    numbers = numbers.subspan(2);
  }
  shard.classes = std::move(*classes);
  if (!can_be_samples(shard, archive_bytes)) return std::nullopt;
  for (std::string& ending : *endings) {
    const std::int64_t count = numbers.front();
    numbers = numbers.subspan(1);
    const bool is_new = shard.passed_over.emplace(std::move(ending), static_cast<int>(count)).second;
    if (!is_new || count < 1 || count > std::numeric_limits<int>::max()) return std::nullopt;
  }
  return shard;
}

}  // namespace bsq
