// The samples of one tar archive in WebDataset's layout.
#pragma once

#include "data/listing_cache.h"
#include "data/tar.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bsq {

struct Shard {
  std::vector<TarEntry> pictures;          // in the order of the archive
  std::vector<std::string> classes;        // of each picture, as the files have them
  std::map<std::string, int> passed_over;  // how many files of which ending
};

/// Throws Error(data) for a damaged archive, and for a picture without a class.
Shard read_shard(const std::filesystem::path& archive);

/// The content of one file of it.
std::vector<std::uint8_t> read_part(const std::filesystem::path& archive, const TarEntry& entry);

// To be kept, and back; nothing if the list can be of no archive of so many bytes.
KeptList to_list(const Shard& shard);
std::optional<Shard> shard_of(const KeptList& list, std::int64_t archive_bytes);

}  // namespace bsq
