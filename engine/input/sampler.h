// The order in which an epoch visits the training set: a function of (seed, stage, epoch) alone, so that a resumed run,
// or one on another number of ranks, sees the batches an uninterrupted one would have seen.
#pragma once

#include <cstdint>
#include <vector>

namespace bsq {

struct EpochKey {
  std::uint64_t seed = 0;
  int stage = 0;  // index within the chain of stages
  int epoch = 0;  // within the stage, from 0
};

/// The `stage` of the order in which images are chosen for calibration.
inline constexpr int kCalibrationOrder = 1 << 20;

/// A uniformly random permutation of 0 .. count-1 (Fisher-Yates driven by Philox).
std::vector<std::int32_t> epoch_order(std::int64_t count, const EpochKey& key);

/// The Philox stream of a stage's augmentation.
std::uint32_t augment_stream(int stage);
/// That of how it mixes images.
std::uint32_t mix_stream(int stage);
/// That of its dropout; layers put their numbers into the upper 16 bits.
std::uint32_t dropout_stream(int stage);

}  // namespace bsq
