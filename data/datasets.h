// The one door to data sets: kind and options in, checked images out.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/input/image_set.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bsq {

struct DatasetKind : ConfigChoice {};

/// The table: a line a kind, the first is the default.
const std::vector<DatasetKind>& dataset_kinds();

struct DataOptions {
  std::string kind;            // "synthetic", "cifar10", "cifar100" or "image_folder"
  std::filesystem::path root;  // where the files are; unused by "synthetic"
  int train_per_class = 0;     // the first images of each class, in the order of the set; 0: all of them
  int test_per_class = 0;      // likewise
  int synthetic_train = 10000;
  int synthetic_test = 2000;
  std::uint64_t seed = 1;  // of the synthetic images
};

/// Throws Error(usage) for an unknown kind and negative counts, Error(data) for whatever is wrong with the files.
DataSets load_datasets(const DataOptions& options);

/// The first `per_class` images of every class, in the order of the set; 0 keeps all. Throws Error(data), naming
/// `where`, if a class has fewer.
ImageSet take_per_class(ImageSet set, int per_class, const std::string& where);

}  // namespace bsq
