// Greedy placement by size: within a few percent of the lower bound for the graphs here, and simple.
#include "engine/memory/memory_planner.h"

#include <algorithm>
#include <numeric>

namespace bsq {
namespace {

constexpr std::size_t kAlignment = 64;

bool overlap_in_time(const PlannedBuffer& a, const PlannedBuffer& b) {
  return a.first_use <= b.last_use && b.first_use <= a.last_use;
}

}  // namespace

std::size_t plan_memory(std::vector<PlannedBuffer>& buffers) {
  std::vector<std::size_t> by_size(buffers.size());
  std::iota(by_size.begin(), by_size.end(), std::size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](std::size_t a, std::size_t b) { return buffers[a].size_bytes > buffers[b].size_bytes; });
  std::vector<const PlannedBuffer*> placed;  // sorted by offset
  std::size_t arena_bytes = 0;
  for (const std::size_t index : by_size) {
    PlannedBuffer& buffer = buffers[index];
    buffer.offset = 0;
    for (const PlannedBuffer* other : placed) {
      if (!overlap_in_time(buffer, *other)) continue;
      if (buffer.offset + buffer.size_bytes <= other->offset) break;
      const std::size_t end = other->offset + other->size_bytes;
      buffer.offset = std::max(buffer.offset, (end + kAlignment - 1) / kAlignment * kAlignment);
    }
    const auto after =
        std::upper_bound(placed.begin(), placed.end(), &buffer,
                         [](const PlannedBuffer* a, const PlannedBuffer* b) { return a->offset < b->offset; });
    placed.insert(after, &buffer);
    arena_bytes = std::max(arena_bytes, buffer.offset + buffer.size_bytes);
  }
  return arena_bytes;
}

}  // namespace bsq
