// The built-in data set: procedural 32x32 colour pictures of ten kinds of shape, nothing to download.
//
// A shape of random place, size, turn, proportion and colour on a shaded background, among small clutter, now and then
// crossed by a bar, under noise; a few percent are hard (small, faint and noisy). No class is told by colour or place,
// so a linear classifier of the pixels fails, and none changes its class when mirrored or shifted, so that the usual
// augmentation is sound.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/input/dataset.h"

#include <cstdint>
#include <memory>
#include <string>

namespace bsq {

struct SyntheticConfig {
  int train = 10000;  // training images
  int test = 2000;    // test images
};

// For the line in the table of data sets.
/// Adds data.synthetic_train and data.synthetic_test.
void add_synthetic_keys(ConfigSchema& schema);
DataSplits open_synthetic(const Config& config);
/// How many test images there are. Sets of different seeds count as the same set: they differ in their random draws
/// alone.
std::string describe_synthetic(const Config& config);

/// The splits draw from disjoint Philox counters: no picture can be in both.
enum class SyntheticSplit : std::uint32_t { train = 0, test = 1 };

/// Picture `index` is a pure function of (seed, split, index), its label is index mod 10: a longer set begins with the
/// shorter one, and every multiple of ten images is balanced. A picture is painted when it is read.
std::unique_ptr<const Dataset> synthesize(std::uint64_t seed, SyntheticSplit split, int images);

}  // namespace bsq
