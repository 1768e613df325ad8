// What folders and archives hold, kept in a file (data.cache): a set of a million pictures is then known at once.
#pragma once

#include "engine/files/json.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bsq {

/// Of one split of a set. What is kept of a folder or an archive counts as long as its time of change and its length
/// are those that were noted.
class ListingCache {
 public:
  /// `folder`: of the file, made if it is missing; empty: nothing is kept. `split`: what is listed; its path names the
  /// file. Throws Error(data) if there is no such folder and none can be made. A file that cannot be understood counts
  /// as missing.
  ListingCache(const std::filesystem::path& folder, const std::filesystem::path& split);

  bool keeps() const { return !file_.empty(); }
  /// What `path` holds: as it is kept, or else as `list` says. It may hold any bytes as text.
  const nlohmann::json& get(const std::filesystem::path& path, const std::function<nlohmann::json()>& list);
  /// Keeps all that was got, if any of it is new. Returns what a user should know: why that was impossible, if it was.
  std::vector<std::string> save() const;

 private:
  using Time = std::filesystem::file_time_type;

  struct Entry {
    std::int64_t changed = 0;  // nanoseconds of the clock of files
    std::int64_t bytes = 0;
    nlohmann::json listed;
  };

  void load();

  std::filesystem::path file_;
  std::map<std::string, Entry> kept_;  // by path, as the file has them
  std::map<std::string, Entry> got_;
  bool has_news_ = false;
};

/// Names as one text, which takes less room than a list of them: each with a zero behind it, which none may contain.
std::string joined_names(const std::vector<std::string>& names);
std::vector<std::string> split_names(std::string_view text);

}  // namespace bsq
