// Where a reader of batches (training, evaluation, calibration) finds its images on the device, in the order that it
// has asked for.
#pragma once

#include "engine/input/batches.h"
#include "engine/input/dataset.h"
#include "kernels/ops/augment.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace bsq {

class BatchSource {
 public:
  virtual ~BatchSource() = default;
  /// How many images the set has.
  virtual std::int64_t size() const = 0;
  /// Sets the order of the coming batches: size() numbers of images. With a key they are read with the augmentation of
  /// their set (Dataset::read_augmented).
  virtual void begin_epoch(const std::vector<std::int32_t>& order, const std::optional<AugmentKey>& key = {}) = 0;
  /// Says which batches of this order will be staged, one after the other: a source may read ahead. It is a hint: any
  /// other batch may be staged as well.
  virtual void expect(const std::vector<BatchRange>& /*batches*/) {}
  /// How long stage() has waited for images so far.
  virtual double seconds_waited() const { return 0; }
  /// How many images a second all readers together manage; 0: none has been read for the steps.
  virtual double read_rate() const { return 0; }
  /// What Backend::augment reads. The pointers stay the same for the life of the source, so that work which reads them
  /// can be captured.
  virtual BatchRows rows() const = 0;
  /// Makes sure that `count` images from place `first` of the order are there for the work that is enqueued next. A
  /// source may hold no more than a few batches: each batch is staged before the step that reads it.
  virtual void stage(std::int64_t first, int count) = 0;
};

}  // namespace bsq
