// Whole data sets in memory, for tests that look at every image.
#pragma once

#include "engine/input/image_set.h"

#include <numeric>

namespace bsq::test {

/// Reads all images. Throws the error of the first one that cannot be read.
inline ImageSet read_all(const Dataset& dataset) {
  ImageSet set(dataset.info());
  for (std::int64_t i = 0; i < dataset.size(); ++i) set.labels.push_back(dataset.label(i));
  std::vector<std::int32_t> numbers(set.labels.size());
  std::iota(numbers.begin(), numbers.end(), 0);
  set.pixels.resize(numbers.size() * dataset.info().image_bytes());
  read_images(dataset, numbers, set.pixels);
  return set;
}

struct ImageSets {
  ImageSet train;
  ImageSet test;
};

inline ImageSets read_all(const DataSplits& splits) {
  ImageSets sets;
  sets.train = read_all(*splits.train);
  sets.test = read_all(*splits.test);
  return sets;
}

}  // namespace bsq::test
