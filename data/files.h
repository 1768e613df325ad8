// What data sets of files share: reading whole files, with the errors of the house, and the key of their folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bsq {

class ConfigSchema;

/// The length of a file in bytes. Throws Error(data) naming the file and the system's reason.
std::uintmax_t file_size_of(const std::filesystem::path& path);

/// All bytes of a file. Throws Error(data) naming the file and the system's reason.
std::vector<std::uint8_t> read_file(const std::filesystem::path& path);

/// Refuses configurations of this kind of data set without data.root. `to_plan`: also those of dry runs.
void need_root(ConfigSchema& schema, const std::string& kind, bool to_plan);

}  // namespace bsq
