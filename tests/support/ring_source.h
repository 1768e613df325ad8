// A source that streams: a ring of a few batches on the device, filled from a data set just before each step.
#pragma once

#include "engine/input/batch_source.h"
#include "engine/input/dataset.h"
#include "engine/memory/device_memory.h"

#include <algorithm>
#include <string>
#include <vector>

namespace bsq::test {

class RingSource final : public BatchSource {
 public:
  static constexpr int kBatches = 4;

  RingSource(DeviceMemory& memory, const Dataset& dataset, int batch)
      : backend_(memory.backend()),
        dataset_(dataset),
        ring_(kBatches * batch),
        images_(memory.allocate("ring images", static_cast<std::size_t>(ring_) * dataset.info().image_bytes())),
        labels_(memory.allocate_array<std::int32_t>("ring labels", static_cast<std::size_t>(ring_))),
        rows_(memory.allocate_array<std::int32_t>("ring rows", static_cast<std::size_t>(dataset.size()))),
        samples_(memory.allocate_array<std::int32_t>("ring samples", static_cast<std::size_t>(dataset.size()))) {
    const std::vector<std::uint8_t> noise(static_cast<std::size_t>(ring_) * dataset.info().image_bytes(), 0xAA);
    upload_array(backend_, images_.as<std::uint8_t>(), noise);  // what has not been staged is no image
  }

  std::int64_t size() const override { return dataset_.size(); }
  void begin_epoch(const std::vector<std::int32_t>& order) override {
    order_ = order;
    std::vector<std::int32_t> rows;
    for (std::int64_t place = 0; place < size(); ++place) rows.push_back(row_of(place));
    upload_array(backend_, rows_.as<std::int32_t>(), rows);
    upload_array(backend_, samples_.as<std::int32_t>(), order);
  }
  BatchRows rows() const override {
    return {images_.as<std::uint8_t>(), labels_.as<std::int32_t>(), rows_.as<std::int32_t>(),
            samples_.as<std::int32_t>()};
  }
  void stage(std::int64_t first, int count) override {
    const std::size_t image_bytes = dataset_.info().image_bytes();
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(count) * image_bytes);
    const std::span<const std::int32_t> numbers = std::span(order_).subspan(static_cast<std::size_t>(first), count);
    read_images(dataset_, numbers, pixels);
    for (int i = 0; i < count; ++i) {
      const std::int32_t row = row_of(first + i), label = dataset_.label(numbers[static_cast<std::size_t>(i)]);
      backend_.upload(images_.as<std::uint8_t>() + static_cast<std::size_t>(row) * image_bytes,
                      pixels.data() + static_cast<std::size_t>(i) * image_bytes, image_bytes);
      backend_.upload(labels_.as<std::int32_t>() + row, &label, sizeof(label));
    }
    staged += count;
  }

  std::int64_t staged = 0;  // images

 private:
  std::int32_t row_of(std::int64_t place) const { return static_cast<std::int32_t>(place % ring_); }

  Backend& backend_;
  const Dataset& dataset_;
  int ring_;  // rows
  Buffer images_;
  Buffer labels_;
  Buffer rows_;
  Buffer samples_;
  std::vector<std::int32_t> order_;
};

}  // namespace bsq::test
