#include "data/passed_over.h"

#include "data/image_file.h"
#include "kernels/base/error.h"

#include <fmt/format.h>

#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace bsq {
namespace {

class PassedOver final : public Dataset {
 public:
  explicit PassedOver(std::unique_ptr<const Dataset> set) : set_(std::move(set)) {}

  const DatasetInfo& info() const override { return set_->info(); }
  std::int64_t size() const override { return set_->size(); }
  std::int32_t label(std::int64_t number) const override { return set_->label(number); }
  void read(std::int64_t number, std::span<std::uint8_t> pixels) const override {
    read_or_replace(number, [&](std::int64_t which) { set_->read(which, pixels); });
  }
  bool augments() const override { return set_->augments(); }
  void read_augmented(std::int64_t number, const AugmentKey& key, std::span<std::uint8_t> pixels) const override {
    read_or_replace(number, [&](std::int64_t which) { set_->read_augmented(which, key, pixels); });
  }
  std::uint64_t identity(std::int64_t number) const override { return set_->identity(number); }
  std::string name(std::int64_t number) const override { return set_->name(number); }
  std::vector<std::string> notes() const override {
    std::vector<std::string> all = set_->notes();
    const std::lock_guard lock(mutex_);
    if (!faults_.empty())
      all.push_back(
          fmt::format("{} of {} training images cannot be read, and others of their class stand in for them "
                      "(data.on_error: skip), such as {}",
                      faults_.size(), size(), faults_.begin()->second));
    return all;
  }

 private:
  template <typename Read>
  void read_or_replace(std::int64_t number, Read read) const {
    try {
      return read(number);
    } catch (const ImageError& error) {
      add_fault(number, error);
    }
    for (std::int64_t step = 1; step < size(); ++step) {
      const std::int64_t other = (number + step) % size();
      if (label(other) != label(number)) continue;
      try {
        return read(other);
      } catch (const ImageError& error) {
        add_fault(other, error);
      }
    }
    const std::lock_guard lock(mutex_);
    fail(ErrorKind::data, "{}; no other image of its class can be read, which could stand in for it",
         faults_.at(number));
  }

  void add_fault(std::int64_t number, const Error& error) const {
    const std::lock_guard lock(mutex_);
    faults_.emplace(number, error.what());
    if (2 * std::ssize(faults_) > size())
      fail(ErrorKind::data, "{}; and so are {} of {} training images: too many to pass over", error.what(),
           faults_.size(), size());
  }

  std::unique_ptr<const Dataset> set_;
  mutable std::mutex mutex_;
  mutable std::map<std::int64_t, std::string> faults_;  // by number
};

}  // namespace

std::unique_ptr<const Dataset> with_errors_passed_over(std::unique_ptr<const Dataset> set) {
  return std::make_unique<PassedOver>(std::move(set));
}

}  // namespace bsq
