// A set of labelled images, read by number: what data/ hands over and sources of batches read from.
//
// Pixels are uint8, RGB or gray, interleaved and dense; crop, flip and normalisation happen per batch
// (Backend::augment).
#pragma once

#include "kernels/types.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bsq {

/// What all images of a set have in common.
struct DatasetInfo {
  int height = 0;
  int width = 0;
  std::vector<std::string> class_names;  // [num_classes]
  int channels = 3;                      // red, green, blue; or 1, gray

  int num_classes() const { return static_cast<int>(class_names.size()); }
  std::size_t image_bytes() const {
    return static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * static_cast<std::size_t>(channels);
  }
  /// What a network reads: [height, width, channels].
  Shape image() const { return {height, width, channels}; }
};

/// Whose random numbers an image is augmented by, with its number in the set (kernels/random.h).
struct AugmentKey {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;
  std::int32_t epoch = 0;
};

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual const DatasetInfo& info() const = 0;
  virtual std::int64_t size() const = 0;
  /// The class of image `number`: 0 .. num_classes - 1, for numbers 0 .. size - 1.
  virtual std::int32_t label(std::int64_t number) const = 0;
  /// Fills `pixels` [height, width, channels] with image `number`. Called by several threads at once. Throws
  /// Error(data).
  virtual void read(std::int64_t number, std::span<std::uint8_t> pixels) const = 0;
  /// Whether read_augmented() gives other images than read(), which then cannot be kept.
  virtual bool augments() const { return false; }
  /// As read(), with the part of the augmentation that happens on the host: all but padding, crop and flip.
  virtual void read_augmented(std::int64_t number, const AugmentKey& /*key*/, std::span<std::uint8_t> pixels) const {
    read(number, pixels);
  }
  /// What tells image `number` from others: of files name and size, else a hash of the pixels. Throws Error(data).
  virtual std::uint64_t identity(std::int64_t number) const;
  /// What image `number` is called in messages.
  virtual std::string name(std::int64_t number) const { return "image " + std::to_string(number); }
  /// What a user should know of the files and of the images that have been read so far, a sentence each.
  virtual std::vector<std::string> notes() const { return {}; }
};

/// Reads the images of these numbers into `pixels`, one after the other, on all OpenMP threads. If several cannot be
/// read, the error of the first one in the list is thrown, whatever the threads did.
void read_images(const Dataset& dataset, std::span<const std::int32_t> numbers, std::span<std::uint8_t> pixels);

/// What one experiment sees. Both sets have the same classes, image size and channels.
struct DataSplits {
  std::unique_ptr<const Dataset> train;
  std::unique_ptr<const Dataset> test;
  /// Training images that are trained on by nobody: the best epoch is chosen on them. Null: it is chosen on the test
  /// set.
  std::unique_ptr<const Dataset> holdout = nullptr;
};

/// Throws Error(data), beginning with `where`, unless both sets have images, agree in size, channels and classes, and
/// have only labels of their classes.
void validate(const DataSplits& splits, const std::string& where);

}  // namespace bsq
