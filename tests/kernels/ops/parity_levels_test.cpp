// Operations on levels: see parity.h. Every device makes the same ones, and the same logits, bit for bit.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

#include <set>

namespace bsq::test {
namespace {

template <typename Case, typename Run>
void check_levels(const std::vector<Case>& cases, Run&& run) {
  for_each_compared_backend([&](Backend& backend, Backend& oracle) {
    for (const Case& c : cases) {
      INFO("case " << c.name);
      const LevelInputs inputs = make_inputs(c);
      const Outputs own = run_twice([&] { return run(backend, c, inputs); }), expected = run(oracle, c, inputs);
      REQUIRE(own.size() == 1);
      CHECK(own.begin()->second.values == expected.begin()->second.values);
    }
  });
}

/// Of a convolution of the oracle's, how many different levels there are.
std::size_t different_levels(const cases::LevelConvCase& c, const LevelInputs& inputs) {
  const auto oracle = make_reference_backend();
  const std::vector<double> levels = run_convolve_levels(*oracle, c, inputs).at("output").values;
  return std::set<double>(levels.begin(), levels.end()).size();
}

}  // namespace

TEST_CASE("a convolution of levels is the reference's bit for bit") {
  check_levels(cases::level_conv_cases(), run_convolve_levels);
}

TEST_CASE("the cases of convolutions of levels make different levels") {
  for (const cases::LevelConvCase& c : cases::level_conv_cases()) {
    if (c.geometry().output_shape().numel() < 10) continue;
    INFO("case " << c.name);
    CHECK(different_levels(c, make_inputs(c)) > (c.range.top < 15 ? 1 : 5));
  }
}

TEST_CASE("a sum of levels, and the largest of a window, are the reference's bit for bit") {
  check_levels(cases::level_sum_cases(), run_add_levels);
  check_levels(cases::level_maximum_cases(), run_max_pool_levels);
}

TEST_CASE("a concatenation of levels, a vector and logits of them are the reference's bit for bit") {
  check_levels(cases::level_concat_cases(), run_concat_levels);
  check_levels(cases::level_image_cases(), run_flatten_levels);
  check_levels(cases::level_image_cases(), run_classify_levels);
}

TEST_CASE("levels of pixels are those of their colors' tables") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    const Outputs own = run_pixels_to_levels(backend), expected = run_pixels_to_levels(oracle);
    CHECK(own.at("gray").values == expected.at("gray").values);
    CHECK(own.at("colors").values == expected.at("colors").values);
  });
}

}  // namespace bsq::test
