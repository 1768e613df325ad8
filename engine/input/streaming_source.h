// Batches of a set that does not fit into memory: threads read images ahead of the steps that need them, into a ring of
// a few batches on the host. The device holds one batch at a time; two where it has a clock of its own, so that one is
// copied while a step uses the other.
//
// The images of a batch are the same whatever the number of threads, and whatever was read ahead: a source that holds
// all images gives the same bits.
#pragma once

#include "engine/input/batch_source.h"
#include "engine/input/dataset.h"
#include "engine/memory/device_memory.h"

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace bsq {

struct StreamOptions {
  int batch = 0;          // the most images that are staged at a time
  int stride = 0;         // places of the order from one batch to the next; 0: `batch`. Ranks share what lies between
  int batches_ahead = 4;  // that the ring on the host holds
  int threads = 1;        // which read
};

class StreamingSource final : public BatchSource {
 public:
  /// `name` heads the names of the memory. `images` must outlive the source.
  StreamingSource(DeviceMemory& memory, const Dataset& images, const std::string& name, const StreamOptions& options);
  ~StreamingSource() override;

  std::int64_t size() const override { return images_.size(); }
  void begin_epoch(const std::vector<std::int32_t>& order, const std::optional<AugmentKey>& key = {}) override;
  BatchRows rows() const override;
  /// Begins to read. Without it, or where other batches are staged than were expected, stage() reads what it needs.
  void expect(const std::vector<BatchRange>& batches) override;
  /// Throws the error of the first image of the batch that cannot be read.
  void stage(std::int64_t first, int count) override;
  double seconds_waited() const override { return seconds_waited_; }
  double read_rate() const override;
  /// Of the ring, which is host memory.
  std::size_t host_bytes() const { return ring_.size_bytes(); }

 private:
  /// A place of the ring: an image that is being read, or has been.
  struct Place {
    bool is_ready = false;
    std::exception_ptr error;
  };

  void start_threads(int count);
  void end_threads();
  /// What each thread does.
  void work();
  /// Forgets what was to be read, and waits until nobody reads.
  void stop_reading();
  /// Makes these places of the order the next to be read.
  void start_reading(std::vector<std::int64_t> places);
  std::span<std::uint8_t> pixels_at(std::size_t place);
  /// Of the device, where steps look for a place of the order. Places of a batch have different rows, also where it
  /// begins anywhere; so have batches that follow each other at the stride, where the device holds two.
  std::int64_t row_of(std::int64_t place) const;
  bool shares_rows(const BatchRange& one, const BatchRange& other) const;
  /// Puts images of the ring, at these places, where steps look for the batch from place `first` of the order.
  void upload(std::int64_t first, std::vector<std::size_t> from);
  /// Waits until the last batch has been copied; its places in the ring are free then.
  void end_upload();

  Backend& backend_;
  const Dataset& images_;
  std::size_t image_bytes_;
  std::int64_t most_staged_;  // images
  std::int64_t stride_;
  std::int64_t batches_on_device_;
  Buffer device_images_;
  Buffer device_labels_;
  Buffer row_of_place_;
  Buffer samples_;
  double seconds_waited_ = 0;

  /// What was staged last.
  struct Upload {
    BatchRange batch;
    std::unique_ptr<Marker> before;   // the work before it, to which the batch before belongs
    std::unique_ptr<Marker> end;      // of the copy; null if it is over
    std::vector<std::size_t> places;  // of the ring, until that is waited for
  };
  Upload last_;

  mutable std::mutex mutex_;  // of all that follows
  std::condition_variable may_read_;
  std::condition_variable has_read_;
  HostBuffer ring_;                   // images
  HostBuffer ring_labels_;            // int32, of the same places
  std::vector<Place> places_;         // of the ring
  std::vector<std::int32_t> order_;   // of the epoch
  std::optional<AugmentKey> key_;     // likewise
  std::vector<std::int64_t> coming_;  // places of the order, as they will be staged
  std::size_t taken_ = 0;             // how many of them threads have begun to read
  std::size_t staged_ = 0;            // how many have been handed over
  int readers_ = 0;                   // threads that are reading an image
  std::int64_t images_read_ = 0;
  double seconds_read_ = 0;  // of all threads together
  bool ends_ = false;

  std::vector<std::thread> threads_;  // last: they use everything else
};

}  // namespace bsq
