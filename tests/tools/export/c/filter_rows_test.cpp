// Filters as rows of numbers and as bits.
#include "tools/export/c/filter_rows.h"

#include "tests/support/catch.h"

namespace bsq::test {
namespace {

DeployedTensor image(int channels) {
  return {.name = "x", .height = 4, .width = 4, .channels = channels, .grid = {}};
}

LevelConvolution convolution(std::vector<std::int8_t> k, std::size_t outputs, int kernel, int groups) {
  LevelConvolution c;
  c.kernel = kernel;
  c.groups = groups;
  c.k = std::move(k);
  c.scale.assign(outputs, 1.0F);
  return c;
}

/// As the words have them, two's complement.
std::vector<int> unpacked(const FilterRows& filter) {
  std::vector<int> numbers;
  std::size_t bit = 0;
  for (int i = 0; i < filter.rows * filter.count; ++i) {
    int number = 0;
    for (int b = 0; b < filter.width; ++b, ++bit)
      if ((filter.words[bit / 32] >> (bit % 32) & 1U) != 0) number += b + 1 < filter.width ? 1 << b : -(1 << b);
    numbers.push_back(number);
  }
  return numbers;
}

}  // namespace

TEST_CASE("rows of a filter are filled up with zeros to what vectors hold") {
  const FilterRows rows = filter_rows(convolution({1, -2, 3, -4, 5, -6}, 2, 1, 1), image(3), CGoal::speed);
  CHECK(rows.rows == 2);
  CHECK(rows.count == 3);
  CHECK(rows.length == 16);
  CHECK(rows.numbers.size() == 32);
  CHECK(std::vector<std::int16_t>(rows.numbers.begin(), rows.numbers.begin() + 4) ==
        std::vector<std::int16_t>{1, -2, 3, 0});
  CHECK(rows.numbers[16] == -4);
  CHECK(rows.bytes() == 64);
}

TEST_CASE("a filter for size has as few bits a number as it needs") {
  const std::vector<std::pair<std::vector<std::int8_t>, int>> cases = {
      {{0, 0, 0, 0}, 0},  {{0, -1, 0, -1}, 1}, {{1, 0, -1, 1}, 2},    {{-2, 1, 0, 1}, 2},
      {{3, -3, 0, 1}, 3}, {{-7, 7, 2, 1}, 4},  {{127, -127, 0, 5}, 8}};
  for (const auto& [k, width] : cases) {
    std::vector<std::int8_t> many;
    for (int i = 0; i < 11; ++i) many.insert(many.end(), k.begin(), k.end());
    const FilterRows rows = filter_rows(convolution(many, 4, 1, 1), image(11), CGoal::size);
    CHECK(rows.width == width);
    CHECK(rows.words.size() == std::max<std::size_t>((44 * static_cast<std::size_t>(width) + 31) / 32, 1));
    CHECK(unpacked(rows) == std::vector<int>(many.begin(), many.end()));
  }
}

TEST_CASE("a filter of channels by themselves has a row per pixel") {
  const LevelConvolution c = convolution({1, 2, 3, 4, 5, 6, 7, 8}, 2, 2, 2);
  CHECK(is_by_channel(c, image(2)));
  const FilterRows rows = filter_rows(c, image(2), CGoal::speed);
  CHECK(rows.rows == 4);
  CHECK(rows.numbers == std::vector<std::int16_t>{1, 5, 2, 6, 3, 7, 4, 8});
  CHECK_FALSE(is_by_channel(convolution({1, 2, 3, 4}, 4, 1, 2), image(2)));
  CHECK_FALSE(is_by_channel(convolution({1, 2, 3, 4}, 2, 1, 1), image(2)));
}

TEST_CASE("a checksum of a filter changes with any number") {
  FilterRows rows = filter_rows(convolution({1, 2, 3, 4}, 2, 1, 1), image(2), CGoal::speed);
  const std::uint32_t sum = rows.checksum();
  for (std::int16_t& number : rows.numbers) {
    ++number;
    CHECK(rows.checksum() != sum);
    --number;
  }
  CHECK(rows.checksum() == sum);
}

}  // namespace bsq::test
