// What folders and archives hold, kept in a file (data.cache): a set of a million pictures is then known at once.
//
// Anyone may have written such a file. A list counts only if what it is of has not changed since, as far as the file
// system can tell; and whoever has kept it looks at all of it, before any of it is used, for what cannot be. What it
// says could still be made up: the folder belongs to those who may say what a set is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bsq {

/// What a folder or an archive holds. Whoever keeps it knows what the texts and numbers are.
struct KeptList {
  std::vector<std::string> texts = {};  // of any bytes
  std::vector<std::int64_t> numbers = {};
};

/// Of a file or folder: another one in its place, or another content, has another.
struct FileState {
  std::int64_t changed = 0;  // its content; nanoseconds since 1970
  std::int64_t touched = 0;  // the file in any way, which nobody can set back: its ctime
  std::int64_t inode = 0;
  std::int64_t bytes = 0;
  friend bool operator==(const FileState&, const FileState&) = default;
};

/// The lists of one split of a set.
class ListingCache {
 public:
  /// `folder`: of the file, which is read if it is there; empty: nothing is kept. `kind`: of the set. `split`: what is
  /// listed, by its path. `reads`: whether what is kept counts; if not, it is replaced.
  ListingCache(const std::filesystem::path& folder, std::string_view kind, const std::filesystem::path& split,
               bool reads = true);

  bool keeps() const { return !file_.empty(); }
  /// What is kept of `path`, within the split or beside it; null if nothing is, or if `path` has changed. To be looked
  /// at with care.
  const KeptList* find(const std::filesystem::path& path);
  /// What `path` holds, listed since it was looked for in vain, or since what was found could not be.
  void keep(const std::filesystem::path& path, KeptList list);
  /// Writes all that was found and kept, if any of it is new, into the folder, which is made if it is missing. Returns
  /// what a user should know: why that was impossible, if it was.
  std::vector<std::string> save() const;

 private:
  struct Entry {
    FileState state;
    KeptList list;
    bool may_be_kept = true;
  };

  std::string key_of(const std::filesystem::path& path) const;
  void load();
  std::string content() const;

  std::filesystem::path folder_;  // of the split
  std::filesystem::path file_;
  std::string title_;                  // what the file is of
  std::map<std::string, Entry> kept_;  // by path from folder_, as the file has them
  std::map<std::string, Entry> got_;
  bool has_news_ = false;
};

/// Names as one text, which takes less room than a list of them: each with a zero behind it, which none may contain.
std::string joined_names(const std::vector<std::string>& names);
/// Nothing if the text is of no such names.
std::optional<std::vector<std::string>> split_names(std::string_view text);

}  // namespace bsq
