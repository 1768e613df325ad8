// Tar archives (POSIX ustar and pax, GNU's long names): where each file lies in one, so that any of them can be read
// alone. They are hostile input.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bsq {

/// Headers and contents begin at multiples of it.
inline constexpr std::int64_t kTarBlock = 512;

struct TarEntry {
  std::string name;         // with its folders
  std::int64_t offset = 0;  // of its content in the archive
  std::int64_t bytes = 0;
};

/// The regular files of an archive, in its order; links, folders and devices are left out. Throws Error(data), naming
/// the archive, if it is none, damaged, or cut short.
std::vector<TarEntry> list_tar(const std::filesystem::path& archive);

}  // namespace bsq
