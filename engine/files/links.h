// Links to a neighbour in the same folder: `latest`, `checkpoints/last`, `checkpoints/best`.
//
// A link is a symlink, or where the file system has none (exFAT, SMB, many FUSE mounts) a stand-in: a text file with
// the one line `-> <name>`. The system follows symlinks; whoever takes a path from a person follows stand-ins by
// follow_stand_ins().
#pragma once

#include "kernels/base/error.h"

#include <filesystem>
#include <optional>

namespace bsq {

/// Whether a symlink, dangling or not, or a stand-in lies there.
bool is_link(const std::filesystem::path& path);

/// What the link holds; nothing if there is no link.
std::optional<std::filesystem::path> link_target(const std::filesystem::path& path);

/// Points `link` (made or replaced) at `target`, a name in the folder of the link. A stand-in is made where a symlink
/// is refused. Refuses to replace anything that is not a link.
void replace_link(const std::filesystem::path& link, const std::filesystem::path& target,
                  ErrorKind kind = ErrorKind::checkpoint);

/// The path with every stand-in in it replaced by what it stands for; symlinks stay as they are.
std::filesystem::path follow_stand_ins(const std::filesystem::path& path);

/// Whether symlinks can be made in `folder`: one is made and removed.
bool has_symlinks(const std::filesystem::path& folder, ErrorKind kind = ErrorKind::checkpoint);

}  // namespace bsq
