// A state of bit planes has one hash, whichever sign its scales have come to.
#include "engine/methods/bsq/stored_planes.h"
#include "engine/model/state_hash.h"
#include "tests/support/catch.h"

namespace bsq::test {

TEST_CASE("planes under a scale below zero have the hash of the checkpoint in which they are turned") {
  const auto hash_of_planes = [](const BitPlanes& planes) {
    return hash_of(ModelState{.weights = StoredPlanes::with_positive_scales({planes}),
                              .plain = std::make_shared<StoredDense>(DenseTensors{}),
                              .statistics = {},
                              .batches_tracked = 0,
                              .momentum = {}});
  };
  const BitPlanes trained{.bits = 2, .scale = -0.5F, .numel = 2, .p = {1, 0, 1, 1}, .n = {0, 1, 0, 0}};
  const BitPlanes read{.bits = 2, .scale = 0.5F, .numel = 2, .p = {0, 1, 0, 0}, .n = {1, 0, 1, 1}};
  CHECK(hash_of_planes(trained) == hash_of_planes(read));
  BitPlanes other = read;
  other.p[3] = 1;
  CHECK(hash_of_planes(other) != hash_of_planes(read));
  // A plane more, of zeros, is another state: it trains.
  const BitPlanes wider{.bits = 3, .scale = 0.5F, .numel = 2, .p = {0, 1, 0, 0, 0, 0}, .n = {1, 0, 1, 1, 0, 0}};
  CHECK(hash_of_planes(wider) != hash_of_planes(read));
}

}  // namespace bsq::test
