// How a set is cut into batches: full ones in the order of the set, then what is left.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace bsq {

/// Places of an order that are looked at together.
struct BatchRange {
  std::int64_t first = 0;
  int count = 0;
};

struct Batches {
  std::int64_t samples = 0;
  int batch_size = 1;

  std::int64_t count() const { return (samples + batch_size - 1) / batch_size; }
  std::int64_t first_sample(std::int64_t batch) const { return batch * batch_size; }
  int size(std::int64_t batch) const {
    return static_cast<int>(std::min<std::int64_t>(batch_size, samples - first_sample(batch)));
  }
  /// The sizes there are, at most two, the larger first.
  std::vector<int> sizes() const {
    std::vector<int> all;
    if (samples >= batch_size) all.push_back(batch_size);
    if (samples % batch_size != 0) all.push_back(static_cast<int>(samples % batch_size));
    return all;
  }
};

}  // namespace bsq
