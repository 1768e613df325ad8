#include "tools/scheme/picture_sample.h"

#include <algorithm>

namespace bsq {

PictureSample::PictureSample(std::unique_ptr<const Dataset> set, std::int64_t count)
    : set_(std::move(set)), count_(std::min(count, set_->size())) {}

}  // namespace bsq
