// The table of data sets, and the one door to them: a configuration in, checked sets out.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/input/dataset.h"

#include <memory>
#include <string>
#include <vector>

namespace bsq {

/// A value of data.kind.
struct DatasetKind : ConfigChoice {
  /// The sets that a configuration of this kind asks for. Throws Error(data) for whatever is wrong with the files.
  DataSplits (*open)(const Config& config) = nullptr;
  /// What tells its test set from others of the kind, to be put behind the name; null: they are all the same.
  std::string (*describe)(const Config& config) = nullptr;
};

/// A line a kind; the first is the default.
const std::vector<DatasetKind>& dataset_kinds();

/// Throws Error(usage) for an unknown kind, Error(data) for whatever is wrong with the files.
DataSplits open_datasets(const Config& config);

/// The test set alone, if the training set is only what it is checked against.
std::unique_ptr<const Dataset> open_test_set(Config config);

/// What accuracies are measured on: `cifar10`, `synthetic, 2000 test images`.
std::string describe_test_set(const Config& config);

/// The first `per_class` images of every class, in the order of the set; 0 keeps all. Throws Error(data), naming
/// `where`, if a class has fewer.
std::unique_ptr<const Dataset> take_per_class(std::unique_ptr<const Dataset> set, int per_class,
                                              const std::string& where);

}  // namespace bsq
