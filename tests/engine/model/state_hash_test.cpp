// Every number of a state counts in its hash, and nothing but the numbers.
#include "engine/model/state_hash.h"

#include "tests/support/engine.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace bsq::test {
namespace {

ModelState state_of(std::vector<float> weights, std::vector<float> statistics = {1, 2}) {
  const auto dense = [](std::vector<float> values) -> Weights {
    return std::make_shared<StoredDense>(DenseTensors{std::move(values)});
  };
  return {.weights = dense(weights),
          .plain = dense({5, 6, 7}),
          .statistics = std::move(statistics),
          .batches_tracked = 3,
          .momentum = MomentumState{dense(std::vector<float>(weights.size(), 0.5F)), dense({0, 0, 0})}};
}

std::vector<float> many(std::size_t count) {
  std::vector<float> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(0.25F * static_cast<float>(i + 1));
  return values;
}

float flipped(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  bits ^= 1;
  std::memcpy(&value, &bits, sizeof(bits));
  return value;
}

}  // namespace

TEST_CASE("the hash of a state changes with any bit of any number, and with their order") {
  // All places within a stride of the hash, and behind the last whole one.
  const std::size_t count = GENERATE(1U, 2U, 7U, 8U, 9U, 16U, 31U);
  const std::vector<float> values = many(count);
  const std::uint64_t hash = hash_of(state_of(values));
  CHECK(hash_of(state_of(values)) == hash);
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<float> changed = values;
    changed[i] = flipped(changed[i]);
    CHECK(hash_of(state_of(changed)) != hash);
    if (i == 0) continue;
    changed = values;
    std::swap(changed[0], changed[i]);
    CHECK(hash_of(state_of(changed)) != hash);
  }
  std::vector<float> longer = values;
  longer.push_back(0);
  CHECK(hash_of(state_of(longer)) != hash);
}

TEST_CASE("momentum, plain weights, statistics, counters and the state of a method count in the hash of a state") {
  const std::vector<float> values = many(20);
  const std::uint64_t hash = hash_of(state_of(values), "{}");
  CHECK(hash_of(state_of(values), "{\"error\":1}") != hash);
  CHECK(hash_of(state_of(values, {1, flipped(2)}), "{}") != hash);
  ModelState state = state_of(values);
  state.batches_tracked = 4;
  CHECK(hash_of(state, "{}") != hash);
  state = state_of(values);
  state.momentum->plain = std::make_shared<StoredDense>(DenseTensors{{0, 0, flipped(0)}});
  CHECK(hash_of(state, "{}") != hash);
  state = state_of(values);
  state.plain = std::make_shared<StoredDense>(DenseTensors{{5, 6, flipped(7)}});
  CHECK(hash_of(state, "{}") != hash);
  state.momentum.reset();
  CHECK(hash_of(state, "{}") != hash_of(state_of(values), "{}"));
}

TEST_CASE("the hash of a file is of its tensors in any order, not of its metadata") {
  const auto tensor = [](const char* name, std::vector<std::int64_t> shape, float last) {
    return HostTensor::from<float>(name, std::move(shape), std::vector<float>{1, 2, 3, last});
  };
  TensorFile file;
  file.tensors = {tensor("a", {4}, 4), tensor("b", {2, 2}, 5)};
  const std::uint64_t hash = hash_of_tensors(file);
  std::swap(file.tensors[0], file.tensors[1]);
  file.metadata["bsq_version"] = "2";
  CHECK(hash_of_tensors(file) == hash);
  for (const TensorFile& other :
       {TensorFile{.metadata = {}, .tensors = {tensor("a", {4}, 4), tensor("b", {4}, 5)}, .path = {}},
        TensorFile{.metadata = {}, .tensors = {tensor("a", {4}, 4), tensor("c", {2, 2}, 5)}, .path = {}},
        TensorFile{.metadata = {}, .tensors = {tensor("a", {4}, 4)}, .path = {}},
        TensorFile{.metadata = {}, .tensors = {tensor("a", {4}, flipped(4)), tensor("b", {2, 2}, 5)}, .path = {}}})
    CHECK(hash_of_tensors(other) != hash);
  CHECK(hash_text(0xab) == "00000000000000ab");
}

TEST_CASE("what a ResNet-20 holds in 8-bit planes is hashed within a part of a second") {
  const ModelState state = state_of(many(4'300'000));  // weights, and momentum of as many numbers
  auto fastest = std::chrono::steady_clock::duration::max();
  for (int attempt = 0; attempt < 5; ++attempt) {
    const auto start = std::chrono::steady_clock::now();
    CHECK(hash_of(state) != 0);
    fastest = std::min(fastest, std::chrono::steady_clock::now() - start);
  }
  CHECK(std::chrono::duration<double>(fastest).count() < 0.5);  // 5 ms in a release build on an idle machine
}

}  // namespace bsq::test
