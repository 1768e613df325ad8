// What a source that reads ahead reads, when, and what happens where an image cannot be read.
#include "engine/input/streaming_source.h"

#include "engine/input/fingerprint.h"
#include "engine/input/sources.h"
#include "kernels/base/error.h"
#include "tests/engine/input/counted_images.h"
#include "tests/support/engine.h"
#include "tests/support/files.h"

#include <atomic>
#include <chrono>
#include <thread>

namespace bsq::test {
namespace {

struct Stream {
  explicit Stream(const CountedImages& images, int batch, int ahead, int threads)
      : backend(make_backend("cpu", {.threads = 1})),
        memory(*backend),
        source(memory, images, "images", {.batch = batch, .batches_ahead = ahead, .threads = threads}) {}

  /// Reds and labels of a batch, where a step finds them.
  std::vector<int> staged(std::int64_t first, int count) {
    source.stage(first, count);
    const BatchRows rows = source.rows();
    std::vector<int> found;
    for (int i = 0; i < count; ++i) {
      const int row = rows.rows[first + i];
      found.push_back(rows.images[3 * row]);
      CHECK(rows.labels[row] == found.back() % 3);
      CHECK(rows.samples[first + i] == found.back());
    }
    return found;
  }

  std::unique_ptr<Backend> backend;
  DeviceMemory memory;
  StreamingSource source;
};

std::vector<std::int32_t> backwards(int count) {
  std::vector<std::int32_t> order;
  for (int i = count - 1; i >= 0; --i) order.push_back(i);
  return order;
}

}  // namespace

TEST_CASE("a stream stages the images of an order, those that were expected and any others, batch after batch") {
  const CountedImages images(10);
  for (const int threads : {1, 4}) {
    Stream stream(images, 4, 2, threads);
    stream.source.begin_epoch(backwards(10));
    stream.source.expect({{0, 4}, {4, 4}, {8, 2}});
    CHECK(stream.staged(0, 4) == std::vector<int>{9, 8, 7, 6});
    CHECK(stream.staged(4, 4) == std::vector<int>{5, 4, 3, 2});
    CHECK(stream.staged(1, 3) == std::vector<int>{8, 7, 6});  // not what was expected
    CHECK(stream.staged(8, 2) == std::vector<int>{1, 0});
    CHECK(stream.staged(9, 1) == std::vector<int>{0});
    stream.source.expect({{2, 3}});
    stream.source.begin_epoch({3, 1, 4, 0, 5, 9, 2, 6, 8, 7});  // forgets what was expected
    CHECK(stream.staged(2, 3) == std::vector<int>{4, 0, 5});
    stream.source.expect({{6, 1}, {7, 1}});
    CHECK(stream.staged(6, 2) == std::vector<int>{2, 6});  // the same images in other batches
  }
}

TEST_CASE("a stream reads each image of an epoch once, and no further ahead than its ring is long") {
  const CountedImages images(40);
  Stream stream(images, 4, 3, 2);
  stream.source.begin_epoch(backwards(40));
  std::vector<BatchRange> batches;
  for (int first = 0; first < 40; first += 4) batches.push_back({first, 4});
  stream.source.expect(batches);
  for (int tries = 0; images.all_reads() < 12 && tries < 5000; ++tries)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(images.all_reads() == 12);
  for (const BatchRange& batch : batches) stream.staged(batch.first, batch.count);
  for (int i = 0; i < 40; ++i) CHECK(images.reads(i) == 1);
}

TEST_CASE("of images that cannot be read the first of a batch is named, and what follows is read all the same") {
  const CountedImages images(12, {6, 7, 2});
  for (const int threads : {1, 4}) {
    Stream stream(images, 4, 3, threads);
    std::vector<std::int32_t> order;
    for (int i = 0; i < 12; ++i) order.push_back(i);
    stream.source.begin_epoch(order);
    stream.source.expect({{4, 4}, {8, 4}});
    CHECK_THAT(error_of(ErrorKind::data, [&] { stream.source.stage(4, 4); }), Catch::Contains("image 6 is broken"));
    CHECK(stream.staged(8, 4) == std::vector<int>{8, 9, 10, 11});
    CHECK_THAT(error_of(ErrorKind::data, [&] { stream.source.stage(0, 4); }), Catch::Contains("image 2 is broken"));
    stream.source.begin_epoch(order);
    CHECK(stream.staged(3, 3) == std::vector<int>{3, 4, 5});
    stream.source.expect({{8, 4}});  // and nobody takes it
  }
}

TEST_CASE("a stream says how long its batches were waited for, and how fast images are read") {
  CountedImages images(4);
  images.milliseconds = 20;
  Stream stream(images, 4, 1, 1);
  stream.source.begin_epoch(backwards(4));
  CHECK(stream.source.seconds_waited() == 0);
  CHECK(stream.source.read_rate() == 0);
  CHECK(stream.staged(0, 2) == std::vector<int>{3, 2});
  CHECK(stream.source.seconds_waited() > 0.03);
  CHECK(stream.source.read_rate() > 0);
  CHECK(stream.source.read_rate() <= 50);  // 20 ms each

  Stream two(images, 4, 1, 2);
  two.source.begin_epoch(backwards(4));
  CHECK(two.staged(0, 4) == std::vector<int>{3, 2, 1, 0});
  CHECK(two.source.read_rate() <= 100);
}

TEST_CASE("sets are kept as long as they fit into what images may take, all together") {
  const CountedImages images(10);  // 30 bytes
  SourceLimits limits{.resident_bytes = 70, .readers = 1};
  CHECK(may_keep(images.info(), 10, limits));
  CHECK(may_keep(images.info(), 10, limits));
  CHECK_FALSE(may_keep(images.info(), 10, limits));
  CHECK(limits.resident_bytes == 10);
}

TEST_CASE("a set that is not read at once is told from others by labels and the identities of its images") {
  const SetFingerprint ten = SetFingerprint::of_files(CountedImages(10));
  CHECK(ten == SetFingerprint::of_files(CountedImages(10)));
  CHECK(ten.images == 10);
  CHECK_FALSE(ten == SetFingerprint::of_files(CountedImages(11)));
  CHECK_FALSE(ten == SetFingerprint::of_files(tiny_pictures("others", 10, 1)));
}

}  // namespace bsq::test
