// The file: a hash of what follows, so that damage is noticed, and then MessagePack, which takes bytes as they are.
#include "data/listing_cache.h"

#include "data/files.h"
#include "engine/base/text.h"
#include "engine/files/atomic_file.h"
#include "kernels/base/error.h"
#include "kernels/base/hash.h"

#include <chrono>
#include <cstring>
#include <span>
#include <system_error>
#include <utility>

namespace bsq {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "bsq listing 1";

/// What changed so shortly before it was looked at may change again without another time of change: file systems count
/// in steps of up to two seconds.
constexpr std::chrono::nanoseconds kSteps = std::chrono::seconds(2);

std::int64_t nanoseconds_of(fs::file_time_type time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

/// Of a folder and of what cannot be looked at 0.
std::int64_t length_of(const fs::path& path) {
  std::error_code none;
  const std::uintmax_t bytes = fs::is_regular_file(path, none) ? fs::file_size(path, none) : 0;
  return none ? 0 : static_cast<std::int64_t>(bytes);
}

std::uint64_t hash_of_content(std::span<const std::uint8_t> content) {
  return mix_bytes(mix_word(kEmptyHash, content.size()), std::as_bytes(content));
}

}  // namespace

ListingCache::ListingCache(const fs::path& folder, const fs::path& split) {
  if (folder.empty()) return;
  std::error_code why;
  fs::create_directories(folder, why);
  if (!why && !fs::is_directory(folder)) why = std::make_error_code(std::errc::not_a_directory);
  if (why)
    fail(ErrorKind::data, "data.cache '{}': cannot be made: {}; name another folder, or leave it out", folder.string(),
         why.message());
  const std::string path = fs::weakly_canonical(split, why).string();
  file_ = folder / fmt::format("{}-{:016x}.listing", split.filename().string(), hash_of(path));
  load();
}

void ListingCache::load() {
  std::error_code ignored;
  if (!fs::exists(file_, ignored)) return;
  std::vector<std::uint8_t> bytes;
  try {
    bytes = read_file(file_);
  } catch (const Error&) {  // somebody else's, or replaced at this moment
    return;
  }
  std::uint64_t hash = 0;
  if (bytes.size() < sizeof(hash)) return;
  std::memcpy(&hash, bytes.data(), sizeof(hash));
  const std::span<const std::uint8_t> content = std::span(bytes).subspan(sizeof(hash));
  if (hash != hash_of_content(content)) return;
  try {
    nlohmann::json all = nlohmann::json::from_msgpack(content.begin(), content.end());
    if (all.at("format") != kFormat) return;
    for (auto& [path, entry] : all.at("entries").items())
      kept_[path] = {entry.at("changed"), entry.at("bytes"), std::move(entry.at("listed"))};
  } catch (const nlohmann::json::exception&) {
    kept_.clear();
  }
}

const nlohmann::json& ListingCache::get(const fs::path& path, const std::function<nlohmann::json()>& list) {
  const std::string name = path.string();
  if (!keeps()) return got_.insert_or_assign(name, Entry{0, 0, list()}).first->second.listed;
  const Time now = Time::clock::now();
  std::error_code why;
  const Time changed = fs::last_write_time(path, why);
  Entry entry{nanoseconds_of(changed), length_of(path), {}};
  const auto kept = kept_.find(name);
  const bool is_known =
      !why && kept != kept_.end() && kept->second.changed == entry.changed && kept->second.bytes == entry.bytes;
  entry.listed = is_known ? std::move(kept->second.listed) : list();
  has_news_ = has_news_ || !is_known;
  // One that may change unseen is not kept.
  if (why || now - changed < kSteps) entry.changed = 0;
  return got_.insert_or_assign(name, std::move(entry)).first->second.listed;
}

std::vector<std::string> ListingCache::save() const {
  if (!keeps() || !has_news_) return {};
  nlohmann::json entries = nlohmann::json::object();
  for (const auto& [path, entry] : got_)
    if (entry.changed != 0)
      entries[path] = {{"changed", entry.changed}, {"bytes", entry.bytes}, {"listed", entry.listed}};
  const std::vector<std::uint8_t> content =
      nlohmann::json::to_msgpack({{"format", kFormat}, {"entries", std::move(entries)}});
  const std::uint64_t hash = hash_of_content(content);
  try {
    AtomicFile file(file_, ErrorKind::data);
    file.write(std::as_bytes(std::span(&hash, 1)));
    file.write(std::as_bytes(std::span(content)));
    file.commit();
  } catch (const Error& error) {
    return {fmt::format("{}; the set will be listed again next time", error.what())};
  }
  return {};
}

std::string joined_names(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += name + '\0';
  return text;
}

std::vector<std::string> split_names(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\0'), text.size() - 1);
    names.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return names;
}

}  // namespace bsq
