// Everything that kernels may use means what CUDA says it means. A GPU has to pass these tests as well.
#include "kernels/bf16.h"
#include "kernels/random.h"
#include "tests/cuda_on_host/device_array.h"
#include "tests/cuda_on_host/primitive_kernels.h"
#include "tests/support/catch.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

namespace bsq::test {
namespace {

TEST_CASE("every thread of a grid runs once, under its own indices") {
  const dim3 grid(3, 2, 2);
  const dim3 block(5, 3, 4);
  const unsigned threads = 5 * 3 * 4;
  const DeviceArray<uint4> out(threads * 12);
  write_indices(grid, block, out.data());
  const std::vector<uint4> indices = out.get();
  for (unsigned i = 0; i < indices.size(); ++i) {
    INFO("thread " << i);
    const unsigned t = i % threads;
    const unsigned b = i / threads;
    CHECK(indices[i].x == t % 5);
    CHECK(indices[i].y == t / 5 % 3);
    CHECK(indices[i].z == t / 15);
    CHECK(indices[i].w == b % 3 + 10 * (b / 3 % 2));
  }
}

TEST_CASE("__syncthreads_count, _or and _and see every thread of the block, once") {
  for (const int threads : {1, 32, 33, 96}) {
    for (const int chosen : {0, 1, threads}) {
      INFO(threads << " threads, " << chosen << " of them with a true predicate");
      std::vector<int> predicates(static_cast<std::size_t>(threads));
      for (int t = 0; t < chosen; ++t) predicates[predicates.size() - 1 - static_cast<std::size_t>(t)] = 4;
      const DeviceArray<int> in(predicates);
      const DeviceArray<int> out(predicates.size() * 3);
      vote_in_block(threads, in.data(), out.data());
      const std::vector<int> results = out.get();
      for (std::size_t t = 0; t < predicates.size(); ++t) {
        CHECK(results[3 * t] == chosen);
        CHECK((results[3 * t + 1] != 0) == (chosen > 0));
        CHECK((results[3 * t + 2] != 0) == (chosen == threads));
      }
    }
  }
}

TEST_CASE("shuffles read the lane they name, within their group") {
  const DeviceArray<int> out(32 * kShuffleResults);
  shuffle_in_warp(out.data());
  const std::vector<int> results = out.get();
  for (int lane = 0; lane < 32; ++lane) {
    INFO("lane " << lane);
    const int group = lane / 8 * 8;
    const int place = lane % 8;
    const std::vector<int> expected = {5,         lane < 3 ? lane : lane - 3,  lane > 28 ? lane : lane + 3, lane ^ 9,
                                       group + 5, place < 3 ? lane : lane - 3, place > 4 ? lane : lane + 3, lane ^ 3};
    for (std::size_t i = 0; i < expected.size(); ++i) {
      INFO("result " << i);
      CHECK(results[static_cast<std::size_t>(lane) * kShuffleResults + i] == expected[i] * 10);
    }
  }
}

TEST_CASE("votes of a warp count the lanes of the mask and no others, in a warp that is not full too") {
  for (const unsigned lanes : {32U, 20U}) {
    const unsigned there = lanes == 32 ? ~0U : (1U << lanes) - 1;
    const std::vector<unsigned> masks = {there, there & 0x0000FFFFU, there & 0xFFFF0000U, 0x8U, there & 0x55555555U};
    for (const unsigned chosen : {0U, ~0U, 0x00010008U, 0x0000FFFFU}) {
      const DeviceArray<unsigned> in(masks);
      const DeviceArray<unsigned> out(std::vector<unsigned>(masks.size() * lanes * 3, 77U));
      vote_in_warp(static_cast<int>(lanes), static_cast<int>(masks.size()), in.data(), chosen, out.data());
      const std::vector<unsigned> results = out.get();
      for (unsigned i = 0; i < masks.size() * lanes; ++i) {
        const unsigned mask = masks[i / lanes];
        INFO("lane " << i % lanes << " of " << lanes << ", mask " << mask << ", chosen " << chosen);
        const bool takes_part = mask >> (i % lanes) & 1;
        CHECK(results[3 * i] == (takes_part ? mask & chosen : 77U));
        CHECK(results[3 * i + 1] == (takes_part ? unsigned{(mask & chosen) != 0} : 77U));
        CHECK(results[3 * i + 2] == (takes_part ? unsigned{(mask & chosen) == mask} : 77U));
      }
    }
  }
}

TEST_CASE("what is written before __syncwarp is read after it") {
  std::vector<int> values(96);
  std::iota(values.begin(), values.end(), 100);
  const DeviceArray<int> in(values);
  const DeviceArray<int> out(values.size());
  reverse_warps(3, in.data(), out.data());
  for (auto warp = values.begin(); warp != values.end(); warp += 32) std::reverse(warp, warp + 32);
  CHECK(out.get() == values);
}

TEST_CASE("the last block to finish sees what all others wrote, again and again") {
  std::vector<int> values(1001);
  std::iota(values.begin(), values.end(), -300);
  const DeviceArray<int> in(values);
  const DeviceArray<unsigned> counter(std::vector<unsigned>{0});
  const DeviceArray<int> sum(1);
  for (const int blocks : {1, 7, 7, 20}) {
    INFO(blocks << " blocks");
    const DeviceArray<int> partial(static_cast<std::size_t>(blocks));
    sum_by_last_block(blocks, 1001, in.data(), partial.data(), counter.data(), sum.data());
    CHECK(sum.get()[0] == std::accumulate(values.begin(), values.end(), 0));
    CHECK(counter.get()[0] == 0);
  }
}

TEST_CASE("atomics lose nothing") {
  const int blocks = 5;
  const int threads = 70;
  std::vector<int> values(350);
  for (int i = 0; i < 350; ++i) values[static_cast<std::size_t>(i)] = i * 37 % 349 - 500;
  const DeviceArray<int> in(values);
  const DeviceArray<unsigned long long> out(std::vector<unsigned long long>{1ULL << 40, 0});
  const DeviceArray<int> max(std::vector<int>{-1000});
  count_atomically(blocks, threads, in.data(), out.data(), max.data());
  CHECK(out.get() == std::vector<unsigned long long>{(1ULL << 40) + 350, 350 * 349 / 2});
  CHECK(max.get()[0] == *std::max_element(values.begin(), values.end()));
}

TEST_CASE("dynamic shared memory has the size asked for, far above 48 KiB too") {
  for (const auto& [rows, columns] : {std::pair{3, 5}, std::pair{160, 150}}) {
    INFO(rows << " x " << columns);
    std::vector<float> values(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns));
    std::iota(values.begin(), values.end(), 0.0F);
    const DeviceArray<float> in(values);
    const DeviceArray<float> out(values.size());
    transpose_in_shared(rows, columns, in.data(), out.data());
    std::vector<float> expected(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto r = i / static_cast<std::size_t>(columns);
      const auto c = i % static_cast<std::size_t>(columns);
      expected[c * static_cast<std::size_t>(rows) + r] = values[i];
    }
    CHECK(out.get() == expected);
  }
}

TEST_CASE("float functions round as they should") {
  const std::vector<float> values = {0.25F, 0.5F, 1.5F, 2.5F, 4.0F, 1e6F};
  const DeviceArray<float> in(values);
  const DeviceArray<float> out(values.size() * kFloatResults);
  apply_float_functions(static_cast<int>(values.size()), in.data(), out.data());
  const std::vector<float> results = out.get();
  const std::vector<float> rounded = {0, 0, 2, 2, 4, 1e6F};  // half to even
  for (std::size_t i = 0; i < values.size(); ++i) {
    INFO("of " << values[i]);
    const float* result = results.data() + i * kFloatResults;
    CHECK(result[0] == rounded[i]);
    CHECK(result[1] == Approx(1.0 / std::sqrt(values[i])).epsilon(1e-6));
    CHECK(result[2] == values[i] * 3 + 1);
    CHECK(result[3] == 2.0F);
    CHECK(result[4] == rounded[i]);
    CHECK(result[5] == values[i] * values[i]);
    CHECK(result[6] == values[i] + 1e6F);
  }
}

TEST_CASE("bit functions count as they should") {
  const std::vector<int> values = {0, 1, 6, 8, -1, std::numeric_limits<int>::min(), 0x00F0};
  const DeviceArray<int> in(values);
  const DeviceArray<int> out(values.size() * kBitResults);
  apply_bit_functions(static_cast<int>(values.size()), in.data(), out.data());
  const std::vector<int> results = out.get();
  const int popc[] = {0, 1, 2, 1, 32, 1, 4};
  const int clz[] = {32, 31, 29, 28, 0, 0, 24};
  const int ffs[] = {0, 1, 2, 4, 1, 32, 5};
  for (std::size_t i = 0; i < values.size(); ++i) {
    INFO("of " << values[i]);
    const int* result = results.data() + i * kBitResults;
    CHECK(result[0] == popc[i]);
    CHECK(result[1] == clz[i]);
    CHECK(result[2] == ffs[i]);
    CHECK(result[3] == std::min(values[i], 7));
    CHECK(result[4] == std::max(values[i], 7));
    CHECK(result[5] == std::bit_cast<int>(static_cast<float>(values[i])));
    CHECK(result[6] == std::bit_cast<int>(static_cast<float>(values[i])));
  }
}

TEST_CASE("bfloat16 rounds to nearest, ties to even, and two of them lie low half first") {
  const std::vector<float> values = {1.0F, -2.5F, 1.00390625F, 1.01171875F, 3.14159265F, 1e-40F, 3.4e38F, -0.0F};
  const DeviceArray<float> in(values);
  const DeviceArray<std::uint32_t> bits(values.size() / 2);
  const DeviceArray<float> out(values.size());
  round_to_bfloat16(static_cast<int>(values.size()), in.data(), bits.data(), out.data());
  const std::vector<std::uint32_t> pairs = bits.get();
  for (std::size_t i = 0; i < values.size(); ++i) {
    INFO("of " << values[i]);
    const bfloat16 expected = to_bfloat16(values[i]);
    CHECK((pairs[i / 2] >> (i % 2 * 16) & 0xFFFF) == expected.bits);
    CHECK(std::bit_cast<std::uint32_t>(out.get()[i]) == std::bit_cast<std::uint32_t>(to_float(expected)));
  }
}

TEST_CASE("vectors of four floats are read and written whole") {
  std::vector<float> values(52);
  std::iota(values.begin(), values.end(), 0.5F);
  const DeviceArray<float> in(values);
  const DeviceArray<float> out(values.size());
  copy_vectors(static_cast<int>(values.size()), in.data(), out.data());
  CHECK(out.get() == values);
}

TEST_CASE("tensor cores multiply bytes without a sign by those with one, exactly") {
  std::vector<std::uint8_t> a(16 * 32);
  std::vector<std::int8_t> b(32 * 8);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<std::uint8_t>(255 - i * 37 % 256);
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<std::int8_t>(static_cast<int>(i * 91 % 255) - 127);
  std::fill_n(a.begin(), 32, std::uint8_t{255});  // the largest sums
  std::fill_n(b.begin(), 32, std::int8_t{-128});
  const DeviceArray<std::uint8_t> on_device_a(a);
  const DeviceArray<std::int8_t> on_device_b(b);
  const DeviceArray<int> c(16 * 8);
  const DeviceArray<int> dots(32);
  multiply_bytes(on_device_a.data(), on_device_b.data(), c.data(), dots.data());
  const std::vector<int> products = c.get(), four = dots.get();
  for (std::size_t i = 0; i < 16; ++i) {
    for (std::size_t j = 0; j < 8; ++j) {
      int expected = 0;
      for (std::size_t k = 0; k < 32; ++k) expected += int{a[i * 32 + k]} * int{b[j * 32 + k]};
      CHECK(products[i * 8 + j] == expected);
    }
  }
  for (std::size_t lane = 0; lane < 32; ++lane) {
    int expected = 1000;
    for (std::size_t k = 4 * lane; k < 4 * lane + 4; ++k) expected += int{a[k]} * int{b[k]};
    CHECK(four[lane] == expected);
  }
}

TEST_CASE(
    "tensor cores multiply matrices as they were laid out, transposed or not, and copies that are left out are zeros") {
  std::vector<std::uint16_t> a(256);
  std::vector<std::uint16_t> b(256);
  const auto value_of_a = [](int i, int k) { return static_cast<float>(i * 3 - k * 5 + 7); };
  const auto value_of_b = [](int k, int j) { return static_cast<float>(k * 7 - j * 11 + 1); };
  for (const bool transposes : {false, true}) {
    for (const int rows : {16, 11}) {
      INFO((transposes ? "a by columns" : "a by rows") << ", " << rows << " rows of b");
      for (int i = 0; i < 16; ++i) {
        for (int k = 0; k < 16; ++k) {
          a[static_cast<std::size_t>(transposes ? k * 16 + i : i * 16 + k)] = to_bfloat16(value_of_a(i, k)).bits;
          b[static_cast<std::size_t>(i * 16 + k)] = to_bfloat16(value_of_b(i, k)).bits;
        }
      }
      const DeviceArray<std::uint16_t> on_device_a(a);
      const DeviceArray<std::uint16_t> on_device_b(b);
      const DeviceArray<float> c(256);
      multiply_matrices(transposes, rows, on_device_a.data(), on_device_b.data(), c.data());
      const std::vector<float> products = c.get();
      for (int i = 0; i < 16; ++i) {
        for (int j = 0; j < 16; ++j) {
          float expected = 0;  // integers below 2^24: exact in any order
          for (int k = 0; k < rows; ++k) expected += value_of_a(i, k) * value_of_b(k, j);
          CHECK(products[static_cast<std::size_t>(i * 16 + j)] == expected);
        }
      }
    }
  }
}

TEST_CASE("Philox draws the same numbers in a kernel as on the host") {
  constexpr std::uint64_t key = 0x123456789ABCDEFULL;
  const DeviceArray<std::uint32_t> out(std::size_t{40} * 4);
  draw_philox(40, key, out.data());
  const std::vector<std::uint32_t> numbers = out.get();
  for (std::uint32_t i = 0; i < 40; ++i) {
    const PhiloxCounter expected = philox4x32({i, 1, 2, 3}, key);
    for (std::size_t word = 0; word < 4; ++word) CHECK(numbers[4 * i + word] == expected.at(word));
  }
}

}  // namespace
}  // namespace bsq::test
