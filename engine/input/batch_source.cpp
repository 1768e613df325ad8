// The resident source: one upload, then indices.
#include "engine/input/batch_source.h"

#include "kernels/base/error.h"

namespace bsq {

ResidentSource::ResidentSource(DeviceMemory& memory, const ImageSet& images, const std::string& name)
    : backend_(memory.backend()),
      size_(images.size()),
      images_(memory.allocate(name + " images", images.pixels.size())),
      labels_(memory.allocate_array<std::int32_t>(name + " labels", images.labels.size())),
      order_(memory.allocate_array<std::int32_t>(name + " order", images.labels.size())) {
  upload_array(backend_, images_.as<std::uint8_t>(), images.pixels);
  upload_array(backend_, labels_.as<std::int32_t>(), images.labels);
}

void ResidentSource::begin_epoch(const std::vector<std::int32_t>& order) {
  require(static_cast<std::int64_t>(order.size()) == size_, "order of {} for {} samples", order.size(), size_);
  upload_array(backend_, order_.as<std::int32_t>(), order);
}

SampleSource ResidentSource::samples() const {
  return {images_.as<std::uint8_t>(), labels_.as<std::int32_t>(), order_.as<std::int32_t>()};
}

}  // namespace bsq
