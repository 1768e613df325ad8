// Numbers and names as people read them.
#include "engine/base/text.h"

#include <catch2/catch.hpp>

using namespace bsq;

TEST_CASE("large numbers are written for people") {
  CHECK(with_thousands(0) == "0");
  CHECK(with_thousands(999) == "999");
  CHECK(with_thousands(1104220) == "1,104,220");
  CHECK(with_thousands(9100000000000000000U) == "9.1e18");
}

TEST_CASE("times are written as clocks show them") {
  CHECK(clock_text(0) == "0:00");
  CHECK(clock_text(-3) == "0:00");
  CHECK(clock_text(65.4) == "1:05");
  CHECK(clock_text(59.6) == "1:00");
  CHECK(clock_text(3725) == "1:02:05");
  CHECK(clock_text(360000) == "100:00:00");
}

TEST_CASE("a layer is named by its weight") {
  CHECK(layer_name("layer1.0.conv1.weight") == "layer1.0.conv1");
  CHECK(layer_name("fc.bias") == "fc.bias");
}
