// Reading many images at once, and the checks that every data set passes, whatever reader it comes from.
#include "engine/input/dataset.h"

#include "kernels/base/error.h"
#include "kernels/base/hash.h"

#include <atomic>
#include <exception>
#include <mutex>

namespace bsq {
namespace {

void validate(const Dataset& set, const std::string& where) {
  const DatasetInfo& info = set.info();
  if (set.size() == 0) fail(ErrorKind::data, "{}: no images", where);
  if (info.height < 1 || info.width < 1)
    fail(ErrorKind::data, "{}: images of {}x{} pixels", where, info.width, info.height);
  if (info.num_classes() < 2) fail(ErrorKind::data, "{}: fewer than two classes", where);
  for (std::int64_t i = 0; i < set.size(); ++i) {
    const std::int32_t label = set.label(i);
    if (label < 0 || label >= info.num_classes())
      fail(ErrorKind::data, "{}: image {}: label {} outside 0..{}", where, i, label, info.num_classes() - 1);
  }
}

}  // namespace

std::uint64_t Dataset::identity(std::int64_t number) const {
  std::vector<std::uint8_t> pixels(info().image_bytes());
  read(number, pixels);
  return mix_bytes(kEmptyHash, std::as_bytes(std::span(pixels)));
}

void read_images(const Dataset& dataset, std::span<const std::int32_t> numbers, std::span<std::uint8_t> pixels) {
  const std::size_t image_bytes = dataset.info().image_bytes(), count = numbers.size();
  require(pixels.size() == count * image_bytes, "{} bytes for {} images of {}", pixels.size(), count, image_bytes);
  std::atomic<std::size_t> first_bad = count;  // images after it need no look, images before it do
  std::exception_ptr error;
  std::mutex error_mutex;
#pragma omp parallel for schedule(dynamic, 16)
  for (std::size_t i = 0; i < count; ++i) {
    if (i > first_bad) continue;
    try {
      dataset.read(numbers[i], pixels.subspan(i * image_bytes, image_bytes));
    } catch (...) {
      const std::lock_guard lock(error_mutex);
      if (i < first_bad) {
        first_bad = i;
        error = std::current_exception();
      }
    }
  }
  if (error) std::rethrow_exception(error);
}

void validate(const DataSplits& splits, const std::string& where) {
  validate(*splits.train, where + ": train");
  validate(*splits.test, where + ": test");
  const DatasetInfo &train = splits.train->info(), &test = splits.test->info();
  if (train.height != test.height || train.width != test.width) {
    fail(ErrorKind::data, "{}: test images are {}x{} pixels, training images {}x{}", where, test.width, test.height,
         train.width, train.height);
  }
  if (train.channels != test.channels)
    fail(ErrorKind::data, "{}: test images have {} channels, training images {}", where, test.channels, train.channels);
  if (train.class_names != test.class_names) {
    fail(ErrorKind::data, "{}: the classes of test are not those of train", where);
  }
}

}  // namespace bsq
