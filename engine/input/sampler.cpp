// Shuffling without state.
#include "engine/input/sampler.h"

#include "kernels/random.h"

#include <numeric>
#include <utility>

namespace bsq {
namespace {

constexpr std::uint32_t kStageShift = 8;  // streams of one purpose in different stages never meet

std::uint32_t stream_of(RandomStream purpose, int stage) {
  return static_cast<std::uint32_t>(purpose) | (static_cast<std::uint32_t>(stage) << kStageShift);
}

}  // namespace

std::vector<std::int32_t> epoch_order(std::int64_t count, const EpochKey& key) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  const std::uint32_t stream = stream_of(RandomStream::shuffle, key.stage);
  for (std::size_t i = order.size(); i > 1; --i) {
    const PhiloxCounter bits =
        philox4x32({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(key.epoch), stream, 0}, key.seed);
    std::swap(order[i - 1], order[bounded_from_bits(bits[0], static_cast<std::uint32_t>(i))]);
  }
  return order;
}

std::uint32_t augment_stream(int stage) {
  return stream_of(RandomStream::augment, stage);
}

std::uint32_t mix_stream(int stage) {
  return stream_of(RandomStream::mix, stage);
}

std::uint32_t dropout_stream(int stage) {
  return stream_of(RandomStream::dropout, stage);
}

}  // namespace bsq
