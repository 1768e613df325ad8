#include "bench/stopwatch.h"

#include <algorithm>
#include <chrono>
#include <vector>

namespace bsq::bench {
namespace {

constexpr std::size_t kSweptBytes = std::size_t{256} << 20;
constexpr std::size_t kLeastTimes = 7;
constexpr std::size_t kMostSamples = 1000;

}  // namespace

Timing Stopwatch::repeat(const std::function<double()>& sample) const {
  sample();  // whatever is prepared once
  const std::size_t least = has_samples() ? kLeastTimes : 2;
  std::vector<double> seconds;
  const auto start = std::chrono::steady_clock::now();
  const auto is_over = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() >= seconds_;
  };
  while (seconds.size() < least || (seconds.size() < kMostSamples && !is_over())) seconds.push_back(sample());
  return timing_of(std::move(seconds));
}

Timing Stopwatch::warm(const Call& call) {
  call();
  if (!is_gpu(backend_)) return repeat([&] { return backend_.device_seconds(call); });
  constexpr double replay_seconds = 2e-3;
  constexpr double most_calls = 200;
  const double once = std::max(backend_.device_seconds(call), 1e-9);
  const int calls = has_samples() ? static_cast<int>(std::clamp(replay_seconds / once, 1.0, most_calls)) : 1;
  const std::unique_ptr<CapturedWork> work = backend_.capture([&] {
    for (int i = 0; i < calls; ++i) call();
  });
  return repeat([&] { return backend_.device_seconds([&] { work->replay(); }) / calls; });
}

Timing Stopwatch::cold(const Call& call) {
  if (swept_ == nullptr) swept_ = std::make_unique<Buffer>(backend_, kSweptBytes);
  return repeat([&] {
    sweep();
    return backend_.device_seconds(call);
  });
}

void Stopwatch::sweep() {
  if (is_gpu(backend_)) return backend_.fill_zero(swept_->data(), kSweptBytes);
  // Floats per cache line; a memset on the host would bypass its caches.
  constexpr std::size_t line = 64 / sizeof(float);
  for (std::size_t i = 0; i < kSweptBytes / sizeof(float); i += line) swept_->as<float>()[i] += 1;
}

}  // namespace bsq::bench
