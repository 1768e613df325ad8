// Some images of a set, at equal distances, so that sets which are sorted by class give images of all of them.
#pragma once

#include "engine/input/dataset.h"

#include <memory>

namespace bsq {

class PictureSample final : public Dataset {
 public:
  /// `count`: at least 1; of a smaller set all images.
  PictureSample(std::unique_ptr<const Dataset> set, std::int64_t count);

  const DatasetInfo& info() const override { return set_->info(); }
  std::int64_t size() const override { return count_; }
  std::int32_t label(std::int64_t number) const override { return set_->label(place(number)); }
  void read(std::int64_t number, std::span<std::uint8_t> pixels) const override { set_->read(place(number), pixels); }
  std::vector<std::string> notes() const override { return set_->notes(); }

 private:
  std::int64_t place(std::int64_t number) const { return number * set_->size() / count_; }

  std::unique_ptr<const Dataset> set_;
  std::int64_t count_;
};

}  // namespace bsq
