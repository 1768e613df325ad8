#include "data/read_speed.h"

#include "kernels/base/error.h"

#include <algorithm>
#include <chrono>
#include <vector>

namespace bsq {

double images_per_second(const Dataset& set, double seconds, const std::optional<AugmentKey>& key) {
  using Clock = std::chrono::steady_clock;
  require(set.size() > 0, "no images to read");
  constexpr double kGolden = 0.6180339887498949;  // its multiples, less whole numbers, are spread evenly, however many
  std::vector<std::uint8_t> pixels(set.info().image_bytes());
  const Clock::time_point start = Clock::now();
  double passed = 0, place = 0;
  std::int64_t images = 0;
  for (; images == 0 || passed < seconds; ++images) {
    const auto number = static_cast<std::int64_t>(place * static_cast<double>(set.size()));
    if (key)
      set.read_augmented(number, *key, pixels);
    else
      set.read(number, pixels);
    place += kGolden;
    if (place >= 1) place -= 1;
    passed = std::chrono::duration<double>(Clock::now() - start).count();
  }
  constexpr double kNoTime = 1e-9;
  return static_cast<double>(images) / std::max(passed, kNoTime);
}

}  // namespace bsq
