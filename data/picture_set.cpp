#include "data/picture_set.h"

#include <fmt/format.h>

#include <utility>

namespace bsq {

PictureSet::PictureSet(DatasetInfo info, std::vector<std::int32_t> labels, const PictureView& view,
                       std::vector<std::string> notes)
    : info_(std::move(info)), labels_(std::move(labels)), view_(view), notes_(std::move(notes)) {}

void PictureSet::read(std::int64_t number, std::span<std::uint8_t> pixels) const {
  add_remark(number, read_fitted_image(file(number), image_size(), view_.fit, pixels.data()));
}

void PictureSet::read_augmented(std::int64_t number, const AugmentKey& key, std::span<std::uint8_t> pixels) const {
  if (!view_.crop) return read(number, pixels);
  add_remark(number, read_cropped_image(file(number), image_size(), view_.fit.interpolation, *view_.crop, key, number,
                                        pixels.data()));
}

std::vector<std::string> PictureSet::notes() const {
  std::vector<std::string> all = notes_;
  const std::lock_guard lock(mutex_);
  for (const auto& [remark, numbers] : remarked_)
    all.push_back(fmt::format("{}: {}{}", name(*numbers.begin()), remark,
                              numbers.size() == 1 ? "" : fmt::format(" (and {} more such files)", numbers.size() - 1)));
  return all;
}

void PictureSet::add_remark(std::int64_t number, const std::string& remark) const {
  if (remark.empty()) return;
  const std::lock_guard lock(mutex_);
  remarked_[remark].insert(number);
}

}  // namespace bsq
