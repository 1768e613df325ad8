// Sets of folders and of archives, and the lists that are kept of them.
#pragma once

#include "data/listing_cache.h"
#include "engine/input/dataset.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace bsq::test {

namespace fs = std::filesystem;

/// Waits until what was written is so old that lists of it are kept.
void grow_old();

/// Two classes, cat and dog, with two pictures each in both splits.
void write_folders(const fs::path& root);
/// An archive with these two samples, and their captions.
void write_archive(const fs::path& file, const std::string& cat, const std::string& dog);
/// One with a and b in both splits.
void write_archives(const fs::path& root);

DataSplits open_folders(const fs::path& root, const fs::path& cache);
DataSplits open_archives(const fs::path& root, const fs::path& cache);

/// A picture of a set.
struct Listed {
  std::string name;
  std::uint64_t identity = 0;
  int label = 0;
  friend bool operator==(const Listed&, const Listed&) = default;
};

/// Those of the training set, then those of the test set.
std::vector<Listed> listed(const DataSplits& splits);

/// The file of a split.
fs::path list_of(const fs::path& cache, const std::string& split = "train");

/// Puts `list` in the place of what is kept of `path`, as somebody may who knows how lists are kept.
void forge(const fs::path& cache, std::string_view kind, const fs::path& split, const fs::path& path, KeptList list);

}  // namespace bsq::test
