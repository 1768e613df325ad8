// The checks every data set passes once, whatever reader it comes from.
#include "engine/input/image_set.h"

#include "kernels/base/error.h"

namespace bsq {
namespace {

void validate(const ImageSet& set, const std::string& where) {
  if (set.size() == 0) fail(ErrorKind::data, "{}: no images", where);
  if (set.height < 1 || set.width < 1)
    fail(ErrorKind::data, "{}: images of {}x{} pixels", where, set.width, set.height);
  if (set.num_classes() < 2) fail(ErrorKind::data, "{}: fewer than two classes", where);
  const std::size_t wanted_bytes = set.labels.size() * set.image_bytes();
  if (set.pixels.size() != wanted_bytes) {
    fail(ErrorKind::data, "{}: {} bytes of pixels, expected {} for {} images of {}x{}", where, set.pixels.size(),
         wanted_bytes, set.size(), set.width, set.height);
  }
  for (std::size_t i = 0; i < set.labels.size(); ++i) {
    if (set.labels[i] < 0 || set.labels[i] >= set.num_classes()) {
      fail(ErrorKind::data, "{}: image {}: label {} outside 0..{}", where, i, set.labels[i], set.num_classes() - 1);
    }
  }
}

}  // namespace

void validate(const DataSets& sets, const std::string& where) {
  validate(sets.train, where + ": train");
  validate(sets.test, where + ": test");
  if (sets.train.height != sets.test.height || sets.train.width != sets.test.width) {
    fail(ErrorKind::data, "{}: test images are {}x{} pixels, training images {}x{}", where, sets.test.width,
         sets.test.height, sets.train.width, sets.train.height);
  }
  if (sets.train.class_names != sets.test.class_names) {
    fail(ErrorKind::data, "{}: the classes of test are not those of train", where);
  }
}

}  // namespace bsq
