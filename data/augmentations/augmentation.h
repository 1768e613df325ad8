// What an augmentation of training pictures is: a line in the table of augmentations.cpp.
//
// It changes the pixels of one picture on the host, by random words that belong to seed, stream, epoch and number of
// the picture: the same ones whoever reads it, and when.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/input/dataset.h"
#include "kernels/random.h"

#include <cstdint>
#include <memory>
#include <span>

namespace bsq {

/// A picture in place: uint8, RGB or gray, interleaved and dense.
struct PictureView {
  int height = 0;
  int width = 0;
  std::span<std::uint8_t> pixels;  // [height, width, channels]
  int channels = 3;                // or 1

  bool is_gray() const { return channels == 1; }
  std::size_t places() const { return pixels.size() / static_cast<std::size_t>(channels); }
};

/// The random words of one augmentation of one picture, one after the other.
class PictureDraws {
 public:
  /// `which`: Augmentation::draws.
  PictureDraws(const AugmentKey& key, std::int64_t number, std::uint32_t which)
      : key_(key), number_(number), which_(which) {}

  /// Uniform in [least, most), a multiple of their distance by 2^-24.
  double between(double least, double most) { return least + (most - least) * double{uniform_from_bits(word())}; }
  /// Uniform in 0 .. bound - 1.
  int below(int bound) { return static_cast<int>(bounded_from_bits(word(), static_cast<std::uint32_t>(bound))); }

 private:
  std::uint32_t word() {
    constexpr std::uint32_t kWords = 4;
    constexpr int kDrawsBits = 16;  // counters below 1 << 16 are those of crops and flips
    if (taken_ % kWords == 0)
      words_ = philox4x32({static_cast<std::uint32_t>(number_), static_cast<std::uint32_t>(key_.epoch), key_.stream,
                           (which_ << kDrawsBits) + taken_ / kWords},
                          key_.seed);
    return words_[taken_++ % kWords];
  }

  AugmentKey key_;
  std::int64_t number_;
  std::uint32_t which_;
  std::uint32_t taken_ = 0;
  PhiloxCounter words_{};
};

/// An augmentation as a configuration asks for it. Several threads apply it at once.
class PictureAugmentation {
 public:
  virtual ~PictureAugmentation() = default;
  virtual void apply(const PictureView& picture, PictureDraws& draws) const = 0;
};

/// A line of the table, and the keys of section `data` that come with it.
struct Augmentation : ConfigChoice {
  std::uint32_t draws = 0;  // its random counters: from 1, never that of another one, never changed
  /// Null if the configuration does not ask for it.
  std::unique_ptr<const PictureAugmentation> (*make)(const Config& config) = nullptr;
};

}  // namespace bsq
