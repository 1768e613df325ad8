// Dispatch by kind, the limit per class, and the checks that hold for every kind.
#include "data/datasets.h"

#include "data/cifar.h"
#include "data/files.h"
#include "data/image_folder.h"
#include "data/synthetic.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <vector>

namespace bsq {
namespace {

void check_options(const DataOptions& options) {
  const auto at_least = [](const char* key, int value, int least) {
    if (value < least) fail(ErrorKind::usage, "{} = {}; must be at least {}", key, value, least);
  };
  at_least("data.train_per_class", options.train_per_class, 0);
  at_least("data.test_per_class", options.test_per_class, 0);
  if (options.kind == "synthetic") {
    at_least("data.synthetic_train", options.synthetic_train, 1);
    at_least("data.synthetic_test", options.synthetic_test, 1);
  } else if (options.root.empty()) {
    fail(ErrorKind::usage, "data.root is not set; data.kind '{}' needs the folder of its files", options.kind);
  }
}

DataSets load_all(const DataOptions& options) {
  if (options.kind == "synthetic") {
    return {synthesize(options.seed, SyntheticSplit::train, options.synthetic_train),
            synthesize(options.seed, SyntheticSplit::test, options.synthetic_test)};
  }
  if (options.kind == "cifar10") return load_cifar(CifarVersion::cifar10, options.root);
  if (options.kind == "cifar100") return load_cifar(CifarVersion::cifar100, options.root);
  // The folder reader gets the limits too, so that it decodes no more than needed.
  return load_image_folder(options.root, {options.train_per_class, options.test_per_class});
}

}  // namespace

const std::vector<DatasetKind>& dataset_kinds() {
  static const std::vector<DatasetKind> table = {
      {{"synthetic", add_synthetic_keys}},
      {{"cifar10", [](ConfigSchema& schema) { need_root(schema, "cifar10"); }}},
      {{"cifar100", [](ConfigSchema& schema) { need_root(schema, "cifar100"); }}},
      {{"image_folder", [](ConfigSchema& schema) { need_root(schema, "image_folder"); }}},
  };
  return table;
}

DataSets load_datasets(const DataOptions& options) {
  std::vector<std::string> kinds;
  for (const DatasetKind& kind : dataset_kinds()) kinds.push_back(kind.name);
  if (std::find(kinds.begin(), kinds.end(), options.kind) == kinds.end()) {
    fail(ErrorKind::usage, "data.kind '{}'; must be one of {}", options.kind, fmt::join(kinds, ", "));
  }
  check_options(options);
  DataSets sets = load_all(options);

  const std::string where = options.root.empty() ? options.kind : options.root.string();
  sets.train = take_per_class(std::move(sets.train), options.train_per_class, where + ": train");
  sets.test = take_per_class(std::move(sets.test), options.test_per_class, where + ": test");
  validate(sets, where);
  return sets;
}

ImageSet take_per_class(ImageSet set, int per_class, const std::string& where) {
  if (per_class == 0) return set;
  std::vector<int> taken(set.class_names.size(), 0);
  const std::size_t image_bytes = set.image_bytes();
  std::size_t kept = 0;
  for (std::size_t i = 0; i < set.labels.size(); ++i) {
    int& count = taken.at(static_cast<std::size_t>(set.labels[i]));
    if (count == per_class) continue;
    ++count;
    if (kept != i) std::copy_n(&set.pixels[i * image_bytes], image_bytes, &set.pixels[kept * image_bytes]);
    set.labels[kept++] = set.labels[i];
  }
  for (std::size_t label = 0; label < taken.size(); ++label) {
    if (taken[label] < per_class) {
      fail(ErrorKind::data, "{}: class '{}' has {} images, but {} of each class are asked for", where,
           set.class_names[label], taken[label], per_class);
    }
  }
  set.labels.resize(kept);
  set.pixels.resize(kept * image_bytes);
  set.pixels.shrink_to_fit();  // a small part of a large set should not hold all of it
  return set;
}

}  // namespace bsq
