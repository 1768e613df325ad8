// What a set of images is: how many of each class, mean and deviation of the pixels, images that cannot be read, and
// images that are there twice.
#pragma once

#include "engine/input/dataset.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bsq {

struct ImagePair {
  std::int64_t first = 0;
  std::int64_t second = 0;
};

struct SetSurvey {
  std::int64_t images = 0;
  std::vector<std::int64_t> per_class;  // [classes]
  std::vector<std::string> broken;      // why an image cannot be read, in the order of the set
  std::vector<double> mean;             // [channels], in 0..1, over all pixels of all images that can be read
  std::vector<double> deviation;        // [channels]
  std::vector<std::optional<std::uint64_t>> hashes;  // of the pixels of each image; none if it cannot be read
};

/// Reads every image once, on all OpenMP threads; the same numbers for any number of them.
SetSurvey survey(const Dataset& set);

/// Images of `second` whose pixels, by their hashes, are those of an image of `first`: each with the first such one.
std::vector<ImagePair> images_in_both(const SetSurvey& first, const SetSurvey& second);
/// Images of a set whose pixels are those of an earlier one.
std::vector<ImagePair> images_twice(const SetSurvey& set);

}  // namespace bsq
