// The generator every random number comes from, against the published known answers, and the draws made from it.
#include "kernels/random.h"
#include "tests/support/catch.h"

#include <map>
#include <utility>

namespace bsq::test {

TEST_CASE("philox4x32-10 gives the known answers of Random123") {
  // Random123, tests/kat_vectors, the three lines "philox4x32 10"; a key is written low word first.
  CHECK(philox4x32({0, 0, 0, 0}, 0) == PhiloxCounter{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8});
  CHECK(philox4x32({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, 0xFFFFFFFFFFFFFFFF) ==
        PhiloxCounter{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD});
  CHECK(philox4x32({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, 0x299F31D0A4093822) ==
        PhiloxCounter{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1});
}

TEST_CASE("uniform_from_bits stays below 1 and reaches both ends") {
  CHECK(uniform_from_bits(0) == 0.0F);
  CHECK(uniform_from_bits(0xFFFFFFFF) == 1.0F - 1.0F / 16777216.0F);
}

TEST_CASE("bounded_from_bits covers 0 to bound - 1") {
  CHECK(bounded_from_bits(0, 9) == 0);
  CHECK(bounded_from_bits(0xFFFFFFFF, 9) == 8);
  CHECK(bounded_from_bits(0xFFFFFFFF, 1) == 0);
}

TEST_CASE("crops and flips are spread evenly over samples and change with the epoch") {
  constexpr int samples = 8100;  // 100 for each of the 81 positions
  std::map<std::pair<int, int>, int> positions;
  int flips = 0;
  int repeated = 0;
  for (int sample = 0; sample < samples; ++sample) {
    const CropFlip draw = draw_crop_flip(7, 3, 0, sample, 4, true);
    const CropFlip later = draw_crop_flip(7, 3, 1, sample, 4, true);
    ++positions[{draw.top, draw.left}];
    flips += draw.flip;
    repeated += draw.top == later.top && draw.left == later.left && draw.flip == later.flip;
  }
  CHECK(positions.size() == 81);
  for (const auto& [position, count] : positions) {
    CHECK(position.first <= 8);
    CHECK(position.second <= 8);
    CHECK(count > 50);  // 5 standard deviations of 10 around 100
    CHECK(count < 150);
  }
  CHECK(flips > samples / 2 - 225);  // 5 standard deviations of 45
  CHECK(flips < samples / 2 + 225);
  CHECK(repeated < 100);  // one in 162 by chance, 50
}

TEST_CASE("without crop and flip nothing is moved") {
  for (int sample = 0; sample < 100; ++sample) {
    const CropFlip draw = draw_crop_flip(7, 3, 0, sample, 0, false);
    CHECK((draw.top == 0 && draw.left == 0 && !draw.flip));
  }
}

}  // namespace bsq::test
