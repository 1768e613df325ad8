// The pictures that a run of the program classifies, for tests that hold another program against it.
#pragma once

#include "data/synthetic.h"

#include <span>
#include <vector>

namespace bsq::test {

struct LabeledPictures {
  std::vector<std::uint8_t> bytes;  // [N, H, W, 3]
  std::vector<std::int32_t> labels;
};

/// The first test images of the synthetic set.
inline LabeledPictures synthetic_test_pictures(std::uint64_t seed, int count) {
  const std::unique_ptr<const Dataset> images = synthesize(seed, SyntheticSplit::test, count);
  const auto bytes = static_cast<std::size_t>(images->info().image_bytes());
  LabeledPictures pictures;
  pictures.bytes.resize(static_cast<std::size_t>(count) * bytes);
  for (int i = 0; i < count; ++i) {
    images->read(i, std::span(pictures.bytes).subspan(static_cast<std::size_t>(i) * bytes, bytes));
    pictures.labels.push_back(images->label(i));
  }
  return pictures;
}

}  // namespace bsq::test
