// Where a step's images come from. Today every set lives on the device as uint8 and a batch is a list of indices; a set
// that does not fit will stream from disk through a second source with the same face.
#pragma once

#include "engine/input/image_set.h"
#include "engine/memory/device_memory.h"

namespace bsq {

class BatchSource {
 public:
  virtual ~BatchSource() = default;
  virtual std::int64_t size() const = 0;
  /// Sets the order of the coming batches (size() indices).
  virtual void begin_epoch(const std::vector<std::int32_t>& order) = 0;
  /// What Backend::augment reads; valid until the next begin_epoch. The pointers stay the same for the life of the
  /// source.
  virtual SampleSource samples() const = 0;
};

/// The whole set on the device.
class ResidentSource final : public BatchSource {
 public:
  ResidentSource(DeviceMemory& memory, const ImageSet& images, const std::string& name);

  std::int64_t size() const override { return size_; }
  void begin_epoch(const std::vector<std::int32_t>& order) override;
  SampleSource samples() const override;

 private:
  Backend& backend_;
  std::int64_t size_;
  Buffer images_;
  Buffer labels_;
  Buffer order_;
};

}  // namespace bsq
