// Images as the network sees them: what evaluation and the first epochs of training make of them, as bytes again.
#pragma once

#include "engine/config/config.h"
#include "engine/input/dataset.h"
#include "kernels/backend.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bsq {

/// Pixels of [height, width, 3].
using Picture = std::vector<std::uint8_t>;

struct SeenImage {
  std::string name;  // of its file
  std::string class_name;
  Picture evaluated;
  std::vector<Picture> trained = {};  // by epoch
};

struct SeenPictures {
  int height = 0;
  int width = 0;
  std::string stage;  // whose epochs they are: the first that trains
  std::vector<SeenImage> images = {};
};

struct SeenChoice {
  int per_class = 2;
  int classes = 12;  // at most, at equal distances
  int epochs = 5;
};

/// Of each class those that come first in the training of this configuration, by class. Throws Error(data) if one
/// cannot be read.
SeenPictures see_pictures(const Dataset& train, const Config& config, const SeenChoice& choice, Backend& backend);

}  // namespace bsq
