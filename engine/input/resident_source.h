// Batches of a set that lies on the device as a whole, as uint8: a batch is a list of numbers.
#pragma once

#include "engine/input/batch_source.h"
#include "engine/input/dataset.h"
#include "engine/input/fingerprint.h"
#include "engine/memory/device_memory.h"

#include <memory>
#include <string>

namespace bsq {

/// The images and labels of a set, for any number of sources.
class ResidentImages {
 public:
  /// Reads every image once. `name` heads the names of the memory.
  ResidentImages(DeviceMemory& memory, const Dataset& dataset, const std::string& name);

  std::int64_t size() const { return size_; }
  const std::uint8_t* pixels() const { return pixels_.as<std::uint8_t>(); }
  const std::int32_t* labels() const { return labels_.as<std::int32_t>(); }
  const SetFingerprint& fingerprint() const { return fingerprint_; }

 private:
  std::int64_t size_;
  Buffer pixels_;
  Buffer labels_;
  SetFingerprint fingerprint_;
};

class ResidentSource final : public BatchSource {
 public:
  ResidentSource(DeviceMemory& memory, std::shared_ptr<const ResidentImages> images, const std::string& name);
  /// Uploads images for this source alone.
  ResidentSource(DeviceMemory& memory, const Dataset& dataset, const std::string& name);

  std::int64_t size() const override { return images_->size(); }
  /// Images that are kept are those of Dataset::read.
  void begin_epoch(const std::vector<std::int32_t>& order, const std::optional<AugmentKey>& key = {}) override;
  BatchRows rows() const override;
  const SetFingerprint& fingerprint() const { return images_->fingerprint(); }
  void stage(std::int64_t /*first*/, int /*count*/) override {}  // all are there

 private:
  Backend& backend_;
  std::shared_ptr<const ResidentImages> images_;
  Buffer order_;
};

}  // namespace bsq
