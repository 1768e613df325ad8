// Batches that are uploaded beside the work, on a device that does everything as late as it may, or uploads as early:
// whoever forgets to wait for the other finds other images.
#include "engine/input/streaming_source.h"
#include "tests/engine/input/counted_images.h"
#include "tests/support/engine.h"
#include "tests/support/guarding_backend.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>

namespace bsq::test {
namespace {

enum class Uploads { early, late };

/// Has a queue of work, and one of uploads beside it; both go on only when they have to.
class LateDevice final : public GuardingBackend {
 public:
  LateDevice(Backend& inner, Uploads uploads) : GuardingBackend(inner), uploads_are_early_(uploads == Uploads::early) {}

  void enqueue(std::function<void()> work) { work_.push_back({std::move(work), uploads_.size()}); }

  void upload(void* device, const void* host, std::size_t size) override {
    const auto* bytes = static_cast<const std::byte*>(host);
    enqueue(
        [device, content = std::vector(bytes, bytes + size)] { std::memcpy(device, content.data(), content.size()); });
  }
  std::unique_ptr<Marker> upload_aside(const Marker* after, void* device, const void* host, std::size_t size) override {
    const std::size_t work = after == nullptr ? 0 : dynamic_cast<const Place&>(*after).work;
    if (work < work_.size()) ++beside_;
    uploads_.push_back({[=] { std::memcpy(device, host, size); }, work});
    if (uploads_are_early_) run_uploads(uploads_.size());
    return std::make_unique<Place>(0, uploads_.size());
  }
  std::unique_ptr<Marker> marker() override { return std::make_unique<Place>(work_.size(), 0); }
  void wait(const Marker& marker) override {
    const auto& place = dynamic_cast<const Place&>(marker);
    run_work(place.work);
    run_uploads(place.uploads);
  }
  /// Uploads that need not wait for all the work enqueued before them.
  int uploads_beside() const { return beside_; }
  /// Uploads that have not been made yet.
  std::size_t uploads_left() const { return uploads_.size() - uploads_done_; }
  void download(void* host, const void* device, std::size_t size) override {
    run_work(work_.size());
    GuardingBackend::download(host, device, size);
  }
  void synchronize() override {
    run_work(work_.size());
    run_uploads(uploads_.size());
  }

 private:
  struct Place final : Marker {
    Place(std::size_t work_before, std::size_t uploads_before) : work(work_before), uploads(uploads_before) {}
    std::size_t work, uploads;
  };
  struct Task {
    std::function<void()> run;
    std::size_t after;  // how much of the other queue comes before it
  };

  void run_work(std::size_t count) {
    while (work_done_ < count) {
      run_uploads(work_[work_done_].after);
      work_[work_done_++].run();
    }
  }
  void run_uploads(std::size_t count) {
    while (uploads_done_ < count) {
      run_work(uploads_[uploads_done_].after);
      uploads_[uploads_done_++].run();
    }
  }

  bool uploads_are_early_;
  int beside_ = 0;
  std::vector<Task> work_, uploads_;
  std::size_t work_done_ = 0, uploads_done_ = 0;
};

}  // namespace

TEST_CASE("a batch is copied while a step uses the one before, and each step sees its own") {
  const auto inner = make_backend("reference", {});
  for (const Uploads uploads : {Uploads::early, Uploads::late})
    for (const int ahead : {1, 2, 4}) {
      INFO((uploads == Uploads::early ? "early" : "late") << ", " << ahead << " batches ahead");
      const CountedImages images(23);
      LateDevice device(*inner, uploads);
      DeviceMemory memory(device);
      StreamingSource source(memory, images, "images", {.batch = 4, .batches_ahead = ahead, .threads = 2});
      CHECK(memory.entries().front().size_bytes == std::size_t{2 * 4 * 3});
      std::vector<int> found, expected;
      const auto step = [&](std::int64_t first, int count, const std::vector<std::int32_t>& order) {
        source.stage(first, count);
        device.enqueue([&found, first, count, rows = source.rows()] {
          for (std::int64_t place = first; place < first + count; ++place) {
            const int row = rows.rows[place];
            found.insert(found.end(), {rows.images[3 * row], rows.labels[row]});
          }
        });
        for (int i = 0; i < count; ++i) {
          const std::int32_t number = order[static_cast<std::size_t>(first + i)];
          expected.insert(expected.end(), {number, images.label(number)});
        }
      };
      for (int epoch = 0; epoch < 3; ++epoch) {
        std::vector<std::int32_t> order;
        for (int i = 0; i < 23; ++i) order.push_back((i * (epoch + 2) + epoch) % 23);
        source.begin_epoch(order);
        std::vector<BatchRange> batches;
        for (int first = 0; first < 23; first += 4) batches.push_back({first, std::min(4, 23 - first)});
        source.expect(batches);
        for (const BatchRange& batch : batches) step(batch.first, batch.count, order);
        for (const std::int64_t first : {8, 16, 3, 3, 0}) step(first, 4, order);  // that nobody expected
        for (const std::int64_t first : {5, 6, 9}) step(first, 1 + static_cast<int>(first % 3), order);
      }
      device.synchronize();
      CHECK(found == expected);
    }
}

TEST_CASE("what is copied is copied beside the step before, also where ranks share the batches") {
  const auto inner = make_backend("reference", {});
  constexpr int kImages = 60, kBatch = 12;
  for (const int world : {1, 2, 3})
    for (int rank = 0; rank < world; ++rank)
      for (const int most : {kBatch / world, kBatch / world + 2}) {
        INFO("rank " << rank << " of " << world << ", at most " << most << " images");
        const CountedImages images(kImages);
        LateDevice device(*inner, Uploads::late);
        DeviceMemory memory(device);
        StreamingSource source(memory, images, "images", {.batch = most, .stride = std::max(most, kBatch)});
        std::vector<std::int32_t> order(kImages);
        std::iota(order.begin(), order.end(), 0);
        source.begin_epoch(order);
        const int share = kBatch / world;
        std::vector<BatchRange> batches;
        for (int first = rank * share; first < kImages; first += kBatch) batches.push_back({first, share});
        source.expect(batches);
        device.synchronize();
        std::vector<int> found, expected;
        for (const BatchRange& batch : batches) {
          source.stage(batch.first, batch.count);
          device.enqueue([&found, batch, rows = source.rows()] {
            for (std::int64_t i = batch.first; i < batch.first + batch.count; ++i)
              found.push_back(rows.images[3 * rows.rows[i]]);
          });
          for (int i = 0; i < batch.count; ++i) expected.push_back(static_cast<int>(batch.first) + i);
        }
        device.synchronize();
        CHECK(found == expected);
        // Images and labels of each batch but the first, before which there is none, and at most one run more.
        CHECK(device.uploads_beside() >= 2 * (kImages / kBatch - 1));
      }
}

TEST_CASE("a source that ends while a batch is copied waits for the copy") {
  const auto inner = make_backend("reference", {});
  LateDevice device(*inner, Uploads::late);
  const CountedImages images(8);
  std::vector<std::uint8_t> found(3);
  {
    DeviceMemory memory(device);
    StreamingSource source(memory, images, "images", {.batch = 4, .batches_ahead = 2, .threads = 1});
    source.begin_epoch({3, 2, 1, 0, 7, 6, 5, 4});
    source.stage(0, 4);
    device.enqueue([&found, rows = source.rows()] { found = {rows.images[0], rows.images[3], rows.images[6]}; });
    device.synchronize();
    source.stage(4, 4);
    CHECK(device.uploads_left() > 0);
  }
  CHECK(device.uploads_left() == 0);  // one that is made later reads memory that is gone
  CHECK(found == std::vector<std::uint8_t>{3, 2, 1});
}

}  // namespace bsq::test
