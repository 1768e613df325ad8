// One upload of the images in pieces; after that an order is all that changes.
#include "engine/input/resident_source.h"

#include "kernels/base/error.h"

#include <algorithm>
#include <numeric>

namespace bsq {
namespace {

constexpr std::size_t kPieceBytes = 32 << 20;  // of host memory, whatever the size of the set

/// Uploads the pixels of all images and adds them to the fingerprint.
void upload_images(Backend& backend, const Dataset& dataset, std::uint8_t* device, SetFingerprint& fingerprint) {
  const std::size_t image_bytes = dataset.info().image_bytes(), count = static_cast<std::size_t>(dataset.size());
  const std::size_t piece = std::min(count, std::max<std::size_t>(kPieceBytes / image_bytes, 1));
  std::vector<std::uint8_t> pixels(piece * image_bytes);
  std::vector<std::int32_t> numbers(piece);
  for (std::size_t first = 0; first < count; first += piece) {
    numbers.resize(std::min(piece, count - first));
    std::iota(numbers.begin(), numbers.end(), static_cast<std::int32_t>(first));
    pixels.resize(numbers.size() * image_bytes);
    read_images(dataset, numbers, pixels);
    upload_array(backend, device + first * image_bytes, pixels);
    for (std::size_t i = 0; i < numbers.size(); ++i)
      fingerprint.add(dataset.label(numbers[i]), std::span(pixels).subspan(i * image_bytes, image_bytes));
  }
}

}  // namespace

ResidentImages::ResidentImages(DeviceMemory& memory, const Dataset& dataset, const std::string& name)
    : size_(dataset.size()),
      pixels_(memory.allocate(name + " images", static_cast<std::size_t>(size_) * dataset.info().image_bytes())),
      labels_(memory.allocate_array<std::int32_t>(name + " labels", static_cast<std::size_t>(size_))),
      fingerprint_(dataset.info()) {
  upload_images(memory.backend(), dataset, pixels_.as<std::uint8_t>(), fingerprint_);
  std::vector<std::int32_t> labels(static_cast<std::size_t>(size_));
  for (std::int64_t i = 0; i < size_; ++i) labels[static_cast<std::size_t>(i)] = dataset.label(i);
  upload_array(memory.backend(), labels_.as<std::int32_t>(), labels);
}

ResidentSource::ResidentSource(DeviceMemory& memory, std::shared_ptr<const ResidentImages> images,
                               const std::string& name)
    : backend_(memory.backend()),
      images_(std::move(images)),
      order_(memory.allocate_array<std::int32_t>(name + " order", static_cast<std::size_t>(images_->size()))) {}

ResidentSource::ResidentSource(DeviceMemory& memory, const Dataset& dataset, const std::string& name)
    : ResidentSource(memory, std::make_shared<const ResidentImages>(memory, dataset, name), name) {}

void ResidentSource::begin_epoch(const std::vector<std::int32_t>& order, const std::optional<AugmentKey>& /*key*/) {
  require(static_cast<std::int64_t>(order.size()) == size(), "order of {} for {} samples", order.size(), size());
  upload_array(backend_, order_.as<std::int32_t>(), order);
}

BatchRows ResidentSource::rows() const {
  const auto* order = order_.as<std::int32_t>();  // image i lies in row i
  return {images_->pixels(), images_->labels(), order, order};
}

}  // namespace bsq
