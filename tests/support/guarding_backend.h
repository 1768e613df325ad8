// A backend between guards: every allocation of another backend gets a frame that no operation may touch. For tests of
// whole networks, where the engine and not the test allocates. Everything else is passed on.
#pragma once

#include "kernels/backend.h"

#include <cstddef>
#include <map>
#include <vector>

namespace bsq::test {

class GuardingBackend : public Backend {
 public:
  explicit GuardingBackend(Backend& inner) : inner_(inner) {}

  /// Whether the frame of every live allocation is as it was made.
  bool guards_intact() const {
    for (const auto& [data, size_bytes] : blocks_) {
      std::vector<std::byte> frame(kGuardBytes);
      for (const std::byte* guard : {data - kGuardBytes, data + size_bytes}) {
        inner_.download(frame.data(), guard, kGuardBytes);
        if (frame != pattern()) return false;
      }
    }
    return true;
  }

  void* allocate(std::size_t size_bytes) override {
    std::byte* data = static_cast<std::byte*>(inner_.allocate(size_bytes + 2 * kGuardBytes)) + kGuardBytes;
    for (std::byte* guard : {data - kGuardBytes, data + size_bytes}) {
      inner_.upload(guard, pattern().data(), kGuardBytes);
    }
    blocks_[data] = size_bytes;
    return data;
  }
  void release(void* data) noexcept override {
    blocks_.erase(static_cast<std::byte*>(data));
    inner_.release(static_cast<std::byte*>(data) - kGuardBytes);
  }

  std::string name() const override { return inner_.name(); }
  std::string describe() const override { return inner_.describe(); }
  std::vector<std::string> notes() const override { return inner_.notes(); }
  std::vector<EngineNote> engines() const override { return inner_.engines(); }
  bool supports(Precision precision, std::string& why) const override { return inner_.supports(precision, why); }
  void upload(void* device, const void* host, std::size_t size) override { inner_.upload(device, host, size); }
  void download(void* host, const void* device, std::size_t size) override { inner_.download(host, device, size); }
  std::unique_ptr<Marker> marker() override { return inner_.marker(); }
  void download_after(const Marker& marker, void* host, const void* device, std::size_t size) override {
    inner_.download_after(marker, host, device, size);
  }
  void download_aside(const Marker* marker, void* host, const void* device, std::size_t size) override {
    inner_.download_aside(marker, host, device, size);
  }
  void* allocate_host(std::size_t size) override { return inner_.allocate_host(size); }
  void release_host(void* data) noexcept override { inner_.release_host(data); }
  std::unique_ptr<Marker> upload_aside(const Marker* after, void* device, const void* host, std::size_t size) override {
    return inner_.upload_aside(after, device, host, size);
  }
  void wait(const Marker& marker) override { inner_.wait(marker); }
  void copy(void* to, const void* from, std::size_t size) override { inner_.copy(to, from, size); }
  void fill_zero(void* device, std::size_t size) override { inner_.fill_zero(device, size); }
  void synchronize() override { inner_.synchronize(); }
  std::unique_ptr<CapturedWork> capture(std::function<void()> enqueue) override { return inner_.capture(enqueue); }
  double device_seconds(const std::function<void()>& enqueue) override { return inner_.device_seconds(enqueue); }

  void begin_range(const char* name) override { inner_.begin_range(name); }
  void end_range() noexcept override { inner_.end_range(); }

  void plan_convolutions(std::span<const ConvRequest> requests) override { inner_.plan_convolutions(requests); }
  void plan_linear(const LinearGeometry& geometry, bool backward) override { inner_.plan_linear(geometry, backward); }
  int gradient_parts(const ConvGeometry& geometry) override { return inner_.gradient_parts(geometry); }
  void sum_gradient_parts(std::span<const GradientParts> gradients) override { inner_.sum_gradient_parts(gradients); }
#define BSQ_OPERATION(family, name, Args) \
  void name(const Args& args) override {  \
    inner_.name(args);                    \
  }
#define BSQ_SCRATCH(family, name, Of)       \
  std::size_t name(const Of& of) override { \
    return inner_.name(of);                 \
  }
#include "kernels/ops/operations.def"

 private:
  static constexpr std::size_t kGuardBytes = 256;

  static const std::vector<std::byte>& pattern() {
    static const std::vector<std::byte> bytes = [] {
      std::vector<std::byte> made(kGuardBytes);
      for (std::size_t i = 0; i < kGuardBytes; ++i) made[i] = std::byte(0x40 + i % 61);  // no two neighbours alike
      return made;
    }();
    return bytes;
  }

  Backend& inner_;
  std::map<std::byte*, std::size_t> blocks_;
};

}  // namespace bsq::test
