// The table of data sets, and the one way to open them: from a configuration to checked sets.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/input/dataset.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bsq {

/// Where every set of a kind has the same sizes: what is known of it without its files.
struct KnownSizes {
  DatasetInfo info;
  std::int64_t train = 0;  // images
  std::int64_t test = 0;
};

/// A value of data.kind.
struct DatasetKind : ConfigChoice {
  /// Opens the sets that a configuration of this kind asks for. Throws Error(data) for whatever is wrong with the
  /// files.
  DataSplits (*open)(const Config& config) = nullptr;
  /// What tells its test set from others of the kind, to be put behind the name; null if they are all the same.
  std::string (*describe)(const Config& config) = nullptr;
  /// Null if only the files tell.
  KnownSizes (*known_sizes)() = nullptr;
};

/// One line per kind; the first is the default.
const std::vector<DatasetKind>& dataset_kinds();

/// What the kind of data says of the images before any file is opened: size and classes; nothing if only files tell.
std::optional<DatasetInfo> known_images(const Config& config);

/// Throws Error(usage) for an unknown kind, Error(data) for whatever is wrong with the files.
DataSplits open_datasets(const Config& config);

/// Whether a plan can be made without files that the configuration does not name.
bool is_planned_blank(const Config& config);

/// For plans: as open_datasets(), or images of zeros if is_planned_blank().
DataSplits open_planned_datasets(const Config& config);

/// Opens the test set. Of the training set as little is read as the checks need.
std::unique_ptr<const Dataset> open_test_set(Config config);

/// What accuracies are measured on: `cifar10`, `synthetic, 2000 test images`.
std::string describe_test_set(const Config& config);

/// The first `per_class` images of every class, in the order of the set; 0 keeps all. Throws Error(data), naming
/// `where`, if a class has fewer.
std::unique_ptr<const Dataset> take_per_class(std::unique_ptr<const Dataset> set, int per_class,
                                              const std::string& where);

}  // namespace bsq
