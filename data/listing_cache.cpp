// The file: a hash of what follows, so that damage is noticed; then texts, each behind its length, and whole numbers of
// 64 bits, as the machine has them (another kind of machine finds another hash).
#include "data/listing_cache.h"

#include "engine/files/atomic_file.h"
#include "engine/files/posix_file.h"
#include "kernels/base/error.h"
#include "kernels/base/hash.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <span>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace bsq {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "bsq listing 2";

/// What changed so shortly before it was looked at may change again without another time of change: file systems count
/// in steps of up to two seconds.
constexpr std::chrono::nanoseconds kSteps = std::chrono::seconds(2);

constexpr std::uintmax_t kMostBytes = std::uintmax_t{4} << 30;  // of a file, for a hundred million pictures

std::int64_t now() {
  return std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// Nothing of what cannot be looked at.
std::optional<FileState> state_of(const fs::path& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return std::nullopt;
  constexpr std::int64_t kSecond = 1'000'000'000;
  return FileState{.changed = found.st_mtim.tv_sec * kSecond + found.st_mtim.tv_nsec,
                   .touched = found.st_ctim.tv_sec * kSecond + found.st_ctim.tv_nsec,
                   .inode = static_cast<std::int64_t>(found.st_ino),
                   .bytes = found.st_size};
}

std::uint64_t hash_of_content(std::string_view content) {
  return mix_bytes(mix_word(kEmptyHash, content.size()), std::as_bytes(std::span(content)));
}

void put_number(std::string& content, std::int64_t number) {
  content.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

void put_text(std::string& content, std::string_view text) {
  put_number(content, static_cast<std::int64_t>(text.size()));
  content += text;
}

/// Throws std::out_of_range where the content ends too early.
class ContentReader {
 public:
  explicit ContentReader(std::string_view content) : rest_(content) {}

  bool is_at_end() const { return rest_.empty(); }
  std::int64_t number() {
    std::int64_t value = 0;
    std::memcpy(&value, take(1, sizeof(value)).data(), sizeof(value));
    return value;
  }
  std::string text() { return std::string(take(number(), 1)); }
  KeptList list() {
    KeptList list;
    for (std::int64_t count = number(); count > 0; --count) list.texts.push_back(text());
    const std::int64_t count = number();
    const std::string_view numbers = take(count, sizeof(std::int64_t));
    list.numbers.resize(static_cast<std::size_t>(count));
    if (count > 0) std::memcpy(list.numbers.data(), numbers.data(), numbers.size());
    return list;
  }

 private:
  std::string_view take(std::int64_t count, std::size_t bytes_each) {
    if (count < 0 || static_cast<std::uint64_t>(count) > rest_.size() / bytes_each)
      throw std::out_of_range("more than the list has");
    const std::string_view taken = rest_.substr(0, static_cast<std::size_t>(count) * bytes_each);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view rest_;
};

}  // namespace

ListingCache::ListingCache(const fs::path& folder, std::string_view kind, const fs::path& split, bool reads)
    : folder_(split.parent_path()) {
  if (folder.empty()) return;
  std::error_code code, ignored;
  fs::path path = fs::weakly_canonical(split, code);
  if (code) path = fs::absolute(split, ignored);
  title_ = fmt::format("{}: {} {}", kFormat, kind, path.string());
  file_ = folder / fmt::format("{}-{:016x}.listing", split.filename().string(), hash_of(title_));
  if (reads) load();
}

void ListingCache::load() {
  try {
    std::error_code code;
    if (fs::file_size(file_, code) > kMostBytes || code) return;
    const std::string bytes = read_text_file(file_, ErrorKind::data);
    std::uint64_t hash = 0;
    if (bytes.size() < sizeof(hash)) return;
    std::memcpy(&hash, bytes.data(), sizeof(hash));
    const std::string_view content = std::string_view(bytes).substr(sizeof(hash));
    if (hash != hash_of_content(content)) return;
    ContentReader reader(content);
    if (reader.text() != title_) return;
    std::map<std::string, Entry> all;
    while (!reader.is_at_end()) {
      const auto [place, is_new] = all.try_emplace(reader.text());
      if (!is_new) return;
      auto& [state, list, may_be_kept] = place->second;
      for (std::int64_t* number : {&state.changed, &state.touched, &state.inode, &state.bytes})
        *number = reader.number();
      list = reader.list();
    }
    kept_ = std::move(all);
  } catch (const std::exception&) {  // somebody else's, replaced at this moment, or made by hand
  }
}

std::string ListingCache::key_of(const fs::path& path) const {
  return path.lexically_relative(folder_).string();
}

const KeptList* ListingCache::find(const fs::path& path) {
  if (!keeps()) return nullptr;
  const std::string key = key_of(path);
  Entry& entry = got_[key];
  const std::optional<FileState> state = state_of(path);
  // One that may change unseen is not kept.
  entry.may_be_kept = state && now() - std::max(state->changed, state->touched) >= kSteps.count();
  if (!state) return nullptr;
  entry.state = *state;
  const auto kept = kept_.find(key);
  if (kept == kept_.end() || kept->second.state != *state) return nullptr;
  entry.list = std::move(kept->second.list);
  kept_.erase(kept);
  return &entry.list;
}

void ListingCache::keep(const fs::path& path, KeptList list) {
  if (!keeps()) return;
  got_.at(key_of(path)).list = std::move(list);
  has_news_ = true;
}

std::string ListingCache::content() const {
  std::string content;
  put_text(content, title_);
  for (const auto& [key, entry] : got_) {
    if (!entry.may_be_kept) continue;
    put_text(content, key);
    const FileState& state = entry.state;
    for (const std::int64_t number : {state.changed, state.touched, state.inode, state.bytes})
      put_number(content, number);
    put_number(content, std::ssize(entry.list.texts));
    for (const std::string& text : entry.list.texts) put_text(content, text);
    put_number(content, std::ssize(entry.list.numbers));
    for (const std::int64_t number : entry.list.numbers) put_number(content, number);
  }
  return content;
}

std::vector<std::string> ListingCache::save() const {
  if (!keeps() || !has_news_) return {};
  const std::string all = content();
  if (all.size() > kMostBytes) return {fmt::format("data.cache: the lists of {} are too long to be kept", title_)};
  const std::uint64_t hash = hash_of_content(all);
  try {
    const fs::path folder = file_.parent_path();
    std::error_code code;
    fs::create_directories(folder, code);
    check_file(code, ErrorKind::data, folder, "cannot create the folder");
    AtomicFile file(file_, ErrorKind::data);
    file.write(std::as_bytes(std::span(&hash, 1)));
    file.write(all);
    file.commit();
  } catch (const Error& error) {
    return {fmt::format("data.cache: {}; the set will be listed again next time", error.what())};
  }
  return {};
}

std::string joined_names(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += name + '\0';
  return text;
}

std::optional<std::vector<std::string>> split_names(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const std::size_t end = text.find('\0');
    if (end == std::string_view::npos) return std::nullopt;
    names.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return names;
}

}  // namespace bsq
