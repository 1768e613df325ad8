#include "engine/input/streaming_source.h"

#include "kernels/base/error.h"

#include <algorithm>
#include <chrono>
#include <system_error>

namespace bsq {
namespace {

/// Of the ring.
std::size_t places_of(const StreamOptions& options, std::int64_t most_staged) {
  require(options.batch > 0 && options.batches_ahead > 0 && options.threads > 0, "a stream of nothing");
  return static_cast<std::size_t>(options.batches_ahead) * static_cast<std::size_t>(most_staged);
}

}  // namespace

StreamingSource::StreamingSource(DeviceMemory& memory, const Dataset& images, const std::string& name,
                                 const StreamOptions& options)
    : backend_(memory.backend()),
      images_(images),
      image_bytes_(images_.info().image_bytes()),
      most_staged_(std::min<std::int64_t>(options.batch, images.size())),
      stride_(std::max<std::int64_t>(options.stride, most_staged_)),
      batches_on_device_(backend_.marker() != nullptr ? 2 : 1),
      device_images_(memory.allocate(name + " images",
                                     static_cast<std::size_t>(batches_on_device_ * most_staged_) * image_bytes_)),
      device_labels_(memory.allocate_array<std::int32_t>(name + " labels",
                                                         static_cast<std::size_t>(batches_on_device_ * most_staged_))),
      row_of_place_(memory.allocate_array<std::int32_t>(name + " rows", static_cast<std::size_t>(images_.size()))),
      samples_(memory.allocate_array<std::int32_t>(name + " order", static_cast<std::size_t>(images_.size()))),
      ring_(backend_, places_of(options, most_staged_) * image_bytes_),
      ring_labels_(backend_, places_of(options, most_staged_) * sizeof(std::int32_t)),
      places_(places_of(options, most_staged_)) {
  std::vector<std::int32_t> rows(static_cast<std::size_t>(images_.size()));
  for (std::size_t place = 0; place < rows.size(); ++place)
    rows[place] = static_cast<std::int32_t>(row_of(static_cast<std::int64_t>(place)));
  upload_array(backend_, row_of_place_.as<std::int32_t>(), rows);
  start_threads(options.threads);
}

StreamingSource::~StreamingSource() {
  end_threads();
  try {
    if (last_.end) backend_.wait(*last_.end);
  } catch (const Error&) {  // of a device that is lost: whoever ends the run for it says so
  }
}

void StreamingSource::start_threads(int count) {
  try {
    for (int i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error& error) {
    end_threads();
    fail(ErrorKind::usage, "data.readers = {}: {} threads could be started to read images ({}); ask for fewer", count,
         threads_.size(), error.what());
  }
}

void StreamingSource::end_threads() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  may_read_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

BatchRows StreamingSource::rows() const {
  return {device_images_.as<std::uint8_t>(), device_labels_.as<std::int32_t>(), row_of_place_.as<std::int32_t>(),
          samples_.as<std::int32_t>()};
}

double StreamingSource::read_rate() const {
  const std::lock_guard lock(mutex_);
  if (images_read_ == 0) return 0;
  constexpr double kNoTime = 1e-9;
  return static_cast<double>(images_read_) * static_cast<double>(threads_.size()) / std::max(seconds_read_, kNoTime);
}

std::span<std::uint8_t> StreamingSource::pixels_at(std::size_t place) {
  return ring_.as<std::uint8_t>().subspan(place * image_bytes_, image_bytes_);
}

std::int64_t StreamingSource::row_of(std::int64_t place) const {
  return place / stride_ % batches_on_device_ * most_staged_ + place % most_staged_;
}

bool StreamingSource::shares_rows(const BatchRange& one, const BatchRange& other) const {
  std::vector<bool> taken(static_cast<std::size_t>(batches_on_device_ * most_staged_));
  for (int i = 0; i < one.count; ++i) taken[static_cast<std::size_t>(row_of(one.first + i))] = true;
  for (int i = 0; i < other.count; ++i)
    if (taken[static_cast<std::size_t>(row_of(other.first + i))]) return true;
  return false;
}

void StreamingSource::stop_reading() {
  end_upload();
  std::unique_lock lock(mutex_);
  coming_.clear();
  taken_ = staged_ = 0;
  has_read_.wait(lock, [this] { return readers_ == 0; });
  for (Place& place : places_) place = {};
}

void StreamingSource::start_reading(std::vector<std::int64_t> places) {
  {
    const std::lock_guard lock(mutex_);
    coming_ = std::move(places);
  }
  may_read_.notify_all();
}

void StreamingSource::begin_epoch(const std::vector<std::int32_t>& order, const std::optional<AugmentKey>& key) {
  require(static_cast<std::int64_t>(order.size()) == size(), "order of {} for {} samples", order.size(), size());
  stop_reading();
  order_ = order;
  key_ = key;
  upload_array(backend_, samples_.as<std::int32_t>(), order);
}

void StreamingSource::expect(const std::vector<BatchRange>& batches) {
  stop_reading();
  std::vector<std::int64_t> places;
  for (const BatchRange& batch : batches)
    for (int i = 0; i < batch.count; ++i) places.push_back(batch.first + i);
  start_reading(std::move(places));
}

void StreamingSource::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    may_read_.wait(lock, [this] { return ends_ || (taken_ < coming_.size() && taken_ < staged_ + places_.size()); });
    if (ends_) return;
    const std::size_t place = taken_ % places_.size();
    const std::int32_t number = order_[static_cast<std::size_t>(coming_[taken_])];
    ++taken_;
    ++readers_;
    lock.unlock();
    std::exception_ptr error;
    const auto start = std::chrono::steady_clock::now();
    try {
      if (key_)
        images_.read_augmented(number, *key_, pixels_at(place));
      else
        images_.read(number, pixels_at(place));
    } catch (...) {
      error = std::current_exception();
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    lock.lock();
    --readers_;
    ++images_read_;
    seconds_read_ += seconds;
    places_[place] = {true, error};
    has_read_.notify_all();
  }
}

void StreamingSource::upload(std::int64_t first, std::vector<std::size_t> from) {
  const BatchRange batch{first, static_cast<int>(from.size())};
  std::unique_ptr<Marker> now = backend_.marker();
  // The rows of the batch before are in use until the work up to here is done; all others until the work before that.
  const bool leaves_last = last_.before && !shares_rows(last_.batch, batch);
  const Marker* after = leaves_last ? last_.before.get() : now.get();
  for (std::size_t i = 0; i < from.size();) {
    const std::int64_t row = row_of(first + static_cast<std::int64_t>(i));
    std::size_t run = 1;  // images that lie side by side in both
    while (i + run < from.size() && from[i + run] == from[i] + run &&
           row_of(first + static_cast<std::int64_t>(i + run)) == row + static_cast<std::int64_t>(run))
      ++run;
    backend_.upload_aside(after, device_images_.as<std::uint8_t>() + static_cast<std::size_t>(row) * image_bytes_,
                          pixels_at(from[i]).data(), run * image_bytes_);
    last_.end = backend_.upload_aside(after, device_labels_.as<std::int32_t>() + row,
                                      &ring_labels_.as<std::int32_t>()[from[i]], run * sizeof(std::int32_t));
    i += run;
  }
  last_.batch = batch;
  last_.before = std::move(now);
  last_.places = std::move(from);
}

void StreamingSource::end_upload() {
  if (last_.end) backend_.wait(*last_.end);
  last_.end = nullptr;
  {
    const std::lock_guard lock(mutex_);
    for (const std::size_t place : last_.places) places_[place] = {};
    staged_ += last_.places.size();
  }
  last_.places.clear();
  may_read_.notify_all();
}

void StreamingSource::stage(std::int64_t first, int count) {
  require(count <= most_staged_, "a batch of {} images, {} at most", count, most_staged_);
  end_upload();
  const auto is_next = [&] {
    const std::lock_guard lock(mutex_);
    if (coming_.size() - staged_ < static_cast<std::size_t>(count)) return false;
    for (int i = 0; i < count; ++i)
      if (coming_[staged_ + static_cast<std::size_t>(i)] != first + i) return false;
    return true;
  };
  if (!is_next()) expect({{first, count}});
  std::vector<std::size_t> from;  // places of the ring
  {
    const auto start = std::chrono::steady_clock::now();
    std::unique_lock lock(mutex_);
    for (int i = 0; i < count; ++i) {
      const std::size_t place = (staged_ + static_cast<std::size_t>(i)) % places_.size();
      has_read_.wait(lock, [&] { return places_[place].is_ready; });
      if (places_[place].error) std::rethrow_exception(places_[place].error);
      from.push_back(place);
      ring_labels_.as<std::int32_t>()[place] = images_.label(order_[static_cast<std::size_t>(first + i)]);
    }
    seconds_waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  upload(first, std::move(from));
  if (!last_.end) end_upload();
}

}  // namespace bsq
