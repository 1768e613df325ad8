// Symlinks and the text files that stand in for them (engine/files/links.h).
#include "engine/files/links.h"

#include "engine/files/atomic_file.h"
#include "engine/files/posix_file.h"

#include <string>
#include <string_view>

namespace bsq {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kArrow = "-> ";
constexpr std::uintmax_t kLongestStandIn = 3 + 255 + 1;  // arrow, a name, the end of the line
constexpr int kMaxLinks = 8;                             // a link may point at itself

/// What file systems without symlinks answer to a wish for one; those that cannot write at all refuse the stand-in too.
bool means_no_symlinks(const std::error_code& code) {
  for (const std::errc known :
       {std::errc::operation_not_permitted, std::errc::function_not_supported, std::errc::not_supported,
        std::errc::operation_not_supported, std::errc::invalid_argument, std::errc::read_only_file_system})
    if (code == known) return true;
  return false;
}

/// The name in a stand-in; nothing if the file is something else.
std::optional<fs::path> name_in_stand_in(const fs::path& path) {
  std::error_code code;
  if (fs::symlink_status(path, code).type() != fs::file_type::regular) return std::nullopt;
  const std::uintmax_t size_bytes = fs::file_size(path, code);
  if (code || size_bytes <= kArrow.size() + 1 || size_bytes > kLongestStandIn) return std::nullopt;
  std::string text;
  try {
    text = read_text_file(path, ErrorKind::checkpoint);
  } catch (const Error&) {  // whoever opens it next says why
    return std::nullopt;
  }
  if (!text.starts_with(kArrow) || text.find('\n') != text.size() - 1) return std::nullopt;
  const std::string name = text.substr(kArrow.size(), text.size() - kArrow.size() - 1);
  if (name.empty() || name == "." || name == ".." || name.find_first_of(std::string_view("/\0", 2)) != name.npos)
    return std::nullopt;
  return name;
}

}  // namespace

std::optional<fs::path> link_target(const fs::path& path) {
  std::error_code code;
  if (!fs::is_symlink(path, code)) return name_in_stand_in(path);
  const fs::path target = fs::read_symlink(path, code);
  if (code) return std::nullopt;
  return target;
}

bool is_link(const fs::path& path) {
  return link_target(path).has_value();
}

void replace_link(const fs::path& link, const fs::path& target, ErrorKind kind) {
  std::error_code code;
  if (fs::exists(fs::symlink_status(link, code)) && !is_link(link))
    fail(kind, "{}: is not a link, and bsq keeps a link there; move it away", link.string());
  const fs::path temporary = temporary_name(link);
  fs::create_symlink(target, temporary, code);
  if (means_no_symlinks(code)) {
    write_file_atomically(link, fmt::format("{}{}\n", kArrow, target.string()), kind);
    return;
  }
  check_file(code, kind, link, "cannot create the link");
  fs::rename(temporary, link, code);
  if (code) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    check_file(code, kind, link, "cannot move into place");
  }
  sync_folder(link.parent_path(), kind);
}

fs::path follow_stand_ins(const fs::path& path) {
  fs::path followed;
  for (const fs::path& part : path) {
    followed /= part;
    for (int links = 0; links < kMaxLinks; ++links) {
      const std::optional<fs::path> name = name_in_stand_in(followed);
      if (!name) break;
      followed.replace_filename(*name);
    }
  }
  return followed;
}

bool has_symlinks(const fs::path& folder, ErrorKind kind) {
  constexpr const char* kTrial = "link";
  remove_leftovers(folder, kTrial, kind);
  const fs::path trial = temporary_name(folder / kTrial);
  std::error_code code;
  fs::create_symlink(kTrial, trial, code);
  if (code) return !means_no_symlinks(code);
  remove_entry(trial, kind);
  return true;
}

}  // namespace bsq
