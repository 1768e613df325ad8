// A set for tests of sources of batches.
#pragma once

#include "engine/input/dataset.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

namespace bsq::test {

/// Images of one pixel, whose red is their number; counts how often each is read, and has some that cannot be.
class CountedImages final : public Dataset {
 public:
  explicit CountedImages(int count, std::vector<std::int64_t> broken = {})
      : reads_(static_cast<std::size_t>(count)), broken_(std::move(broken)) {}

  const DatasetInfo& info() const override { return info_; }
  std::int64_t size() const override { return std::ssize(reads_); }
  std::int32_t label(std::int64_t number) const override { return static_cast<std::int32_t>(number % 3); }
  void read(std::int64_t number, std::span<std::uint8_t> pixels) const override {
    ++reads_[static_cast<std::size_t>(number)];
    if (std::ranges::count(broken_, number) > 0) {
      if (number % 2 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));  // others may fail before it
      fail(ErrorKind::data, "image {} is broken", number);
    }
    if (milliseconds > 0) std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    pixels[0] = static_cast<std::uint8_t>(number);
  }
  std::uint64_t identity(std::int64_t number) const override { return static_cast<std::uint64_t>(number) * 7; }

  int milliseconds = 0;  // that an image takes

  int reads(std::int64_t number) const { return reads_[static_cast<std::size_t>(number)]; }
  int all_reads() const {
    int sum = 0;
    for (const std::atomic<int>& reads : reads_) sum += reads;
    return sum;
  }

 private:
  DatasetInfo info_{1, 1, {"a", "b", "c"}};
  mutable std::vector<std::atomic<int>> reads_;
  std::vector<std::int64_t> broken_;
};

}  // namespace bsq::test
