// The instruments themselves: a comparison that cannot fail, or a guard that sees nothing, would pass every test.
#include "kernels/reference/reference_backend.h"
#include "tests/support/compare.h"
#include "tests/support/gradients.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/catch.h"

#include <cmath>

extern "C" [[gnu::weak]] int __asan_address_is_poisoned(const volatile void* address);  // null without AddressSanitizer

namespace bsq::test {

TEST_CASE("compare counts what exceeds the tolerance and names the worst") {
  const Comparison comparison = compare({1, 2.05, 3, -4.5}, {1, 2, 3, -4}, {0.01, 0.04});
  CHECK_FALSE(comparison.ok());
  CHECK(comparison.mismatches == 1);
  CHECK(comparison.worst_index == 3);
  CHECK(comparison.max_absolute == 0.5);
  CHECK(comparison.max_relative == 0.125);
  CHECK_THAT(comparison.report(), Catch::Contains("1 of 4") && Catch::Contains("[3]: -4.5, expected -4"));
}

TEST_CASE("central differences err by as much as their order says, and leave x as it was") {
  std::vector<float> x = {7, 1.5F};
  const auto loss = [&x] { return std::pow(double{x[1]}, 5); };
  const double h = 0.25;  // exact in float32, as is all of this
  const double slope = 5 * std::pow(1.5, 4);
  CHECK(central_difference(x, 0.25F, loss)(1) ==
        Approx(slope + 10 * 1.5 * 1.5 * h * h + std::pow(h, 4)).epsilon(1e-12));
  CHECK(central_difference(x, 0.25F, loss, ErrorOrder::fourth)(1) == Approx(slope - 4 * std::pow(h, 4)).epsilon(1e-12));
  CHECK(central_difference(x, 0.25F, loss)(0) == 0);
  CHECK(x == std::vector<float>{7, 1.5F});
}

TEST_CASE("compare takes two NaNs for equal, one NaN or another size for a mismatch") {
  const double nan = std::nan("");
  CHECK(compare_exactly({nan, 1}, {nan, 1}).ok());
  CHECK_FALSE(compare({nan, 1}, {0, 1}, {1, 1}).ok());
  CHECK_FALSE(compare({0, 1}, {nan, 1}, {1, 1}).ok());
  CHECK_FALSE(compare({HUGE_VAL}, {1}, {1, 1}).ok());
  CHECK_FALSE(compare_exactly({1}, {1, 1}).ok());
}

TEST_CASE("on a grid, only a value at a rounding boundary may take the next level") {
  const std::vector<double> levels = {0.5, 1.2, 2.4995};  // the grid is 0, 1, 2, ... and the expected values 0, 1, 2
  const std::vector<double> steps = {1, 1, 1};
  CHECK(compare_on_grid({1, 1, 3}, {0, 1, 2}, levels, steps, 1e-3, 0).at_boundary == 2);
  CHECK(compare_on_grid({1, 1, 3}, {0, 1, 2}, levels, steps, 1e-3, 0).rest.ok());
  CHECK_FALSE(compare_on_grid({0, 2, 2}, {0, 1, 2}, levels, steps, 1e-3, 0).rest.ok());  // not at a boundary
  CHECK_FALSE(compare_on_grid({2, 1, 2}, {0, 1, 2}, levels, steps, 1e-3, 0).rest.ok());  // two levels off
}

TEST_CASE("norm_relative_error is the length of the difference over that of the expected vector") {
  CHECK(norm_relative_error({3, 4.5}, {3, 4}) == Approx(0.1));
}

/// A write that AddressSanitizer does not see, as that of a library.
[[gnu::no_sanitize("address")]] void change_byte(unsigned char* byte) {
  *byte ^= 1;
}

TEST_CASE("a write one byte outside a guarded buffer is seen, on either side") {
  const auto oracle = make_reference_backend();
  for (const std::ptrdiff_t offset : {-1, 13, -128, 13 + 127}) {
    GuardedBuffer buffer(*oracle, 13);
    CHECK(buffer.guards_intact());
    change_byte(static_cast<unsigned char*>(buffer.data()) + offset);
    CHECK_FALSE(buffer.guards_intact());
  }
}

TEST_CASE("an output that nobody writes reads as NaN") {
  const auto oracle = make_reference_backend();
  const GuardedBuffer buffer(*oracle, 2 * sizeof(float));
  for (const float value : buffer.get<float>()) CHECK(std::isnan(value));
}

TEST_CASE("AddressSanitizer, where there is one, watches the guards and nothing else") {
  if (!__asan_address_is_poisoned) {
    WARN("SKIPPED: this program is built without AddressSanitizer");
    return;
  }
  const auto backend = make_reference_backend();
  const GuardedBuffer buffer(*backend, 13);
  for (int look = 0; look < 2; ++look) {  // looking at the guards leaves them watched
    const auto* data = static_cast<const std::byte*>(buffer.data());
    for (int i = 0; i < 13; ++i) CHECK(__asan_address_is_poisoned(data + i) == 0);
    CHECK(__asan_address_is_poisoned(data - 1) == 1);
    CHECK(__asan_address_is_poisoned(data + 13) == 1);
    CHECK(buffer.guards_intact());
  }
}

}  // namespace bsq::test
