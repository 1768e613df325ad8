// Where buffers go: never two alive in the same place, aligned, and in as little room as simple cases allow.
#include "engine/memory/memory_planner.h"

#include "tests/support/catch.h"

#include <algorithm>
#include <random>
#include <set>

namespace bsq {
namespace {

bool alive_together(const PlannedBuffer& a, const PlannedBuffer& b) {
  return a.first_use <= b.last_use && b.first_use <= a.last_use;
}

/// The first pair that shares memory while both are alive, or nothing.
std::string first_overlap(const std::vector<PlannedBuffer>& buffers) {
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const PlannedBuffer& a = buffers[i];
      const PlannedBuffer& b = buffers[j];
      const bool apart = a.offset + a.size_bytes <= b.offset || b.offset + b.size_bytes <= a.offset;
      if (alive_together(a, b) && !apart) return a.name + " and " + b.name;
    }
  }
  return {};
}

std::size_t end_of_all(const std::vector<PlannedBuffer>& buffers) {
  std::size_t end = 0;
  for (const PlannedBuffer& buffer : buffers) end = std::max(end, buffer.offset + buffer.size_bytes);
  return end;
}

std::size_t rounded_up(std::size_t size_bytes) {
  return (size_bytes + 63) / 64 * 64;
}

/// What is alive at the busiest moment: no plan needs less.
std::size_t lower_bound(const std::vector<PlannedBuffer>& buffers) {
  std::size_t most = 0;
  for (const PlannedBuffer& moment : buffers) {
    std::size_t alive = 0;
    for (const PlannedBuffer& buffer : buffers) {
      if (buffer.first_use <= moment.first_use && moment.first_use <= buffer.last_use) alive += buffer.size_bytes;
    }
    most = std::max(most, alive);
  }
  return most;
}

/// `aligned`: sizes are multiples of 64, so that alignment costs nothing.
std::vector<PlannedBuffer> random_buffers(unsigned seed, bool aligned) {
  std::mt19937 generator(seed);
  std::uniform_int_distribution<int> count(1, 60);
  std::uniform_int_distribution<int> time(0, 40);
  std::uniform_int_distribution<int> length(0, 12);
  std::uniform_int_distribution<std::size_t> size(0, 5000);
  std::vector<PlannedBuffer> buffers(static_cast<std::size_t>(count(generator)));
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const int first = time(generator);
    const std::size_t size_bytes = size(generator);
    buffers[i] = {std::to_string(i), aligned ? rounded_up(size_bytes) : size_bytes, first, first + length(generator),
                  12345};  // whatever stood there before
  }
  return buffers;
}

}  // namespace

TEST_CASE("planned buffers that are alive together never overlap, whatever their sizes and lifetimes") {
  for (unsigned seed = 0; seed < 400; ++seed) {
    std::vector<PlannedBuffer> buffers = random_buffers(seed, false);
    const std::size_t arena_bytes = plan_memory(buffers);
    std::size_t sum = 0;
    bool aligned = true;
    for (const PlannedBuffer& buffer : buffers) {
      aligned &= buffer.offset % 64 == 0;
      sum += rounded_up(buffer.size_bytes);
    }
    INFO("seed " << seed);
    REQUIRE(first_overlap(buffers).empty());
    REQUIRE(aligned);
    REQUIRE(arena_bytes == end_of_all(buffers));
    REQUIRE(arena_bytes <= sum);
    REQUIRE(arena_bytes >= lower_bound(buffers));
  }
}

TEST_CASE("random lifetimes cost little more than what is alive at the busiest moment") {
  double worst = 0;
  double total = 0;
  constexpr unsigned kPlans = 400;
  for (unsigned seed = 1000; seed < 1000 + kPlans; ++seed) {
    std::vector<PlannedBuffer> buffers = random_buffers(seed, true);
    const std::size_t bound = lower_bound(buffers);
    if (bound == 0) continue;
    const double ratio = static_cast<double>(plan_memory(buffers)) / static_cast<double>(bound);
    worst = std::max(worst, ratio);
    total += ratio;
  }
  CHECK(total / kPlans < 1.1);
  CHECK(worst < 1.6);
}

TEST_CASE("simple plans need exactly what is alive at the busiest moment") {
  SECTION("nothing needs nothing") {
    std::vector<PlannedBuffer> none;
    CHECK(plan_memory(none) == 0);
  }
  SECTION("buffers one after the other share one place") {
    std::vector<PlannedBuffer> chain;
    for (int i = 0; i < 10; ++i) chain.push_back({"", 640, 2 * i, 2 * i + 1, 0});
    CHECK(plan_memory(chain) == 640);
  }
  SECTION("both ends of a lifetime count: one that begins where another ends is alive with it") {
    std::vector<PlannedBuffer> touching = {{"", 640, 0, 1, 0}, {"", 640, 1, 2, 0}, {"", 640, 2, 3, 0}};
    CHECK(plan_memory(touching) == 1280);
    CHECK(first_overlap(touching).empty());
  }
  SECTION("activations kept for backward and gradients that die on the way down") {
    // Forward writes i at time i and keeps it until 2 N - i; its gradient lives from 2 N - i - 1 to 2 N - i.
    constexpr int kNodes = 8;
    std::vector<PlannedBuffer> training;
    for (int i = 0; i < kNodes; ++i) {
      training.push_back({"activation", 1024, i, 2 * kNodes - i, 0});
      training.push_back({"gradient", 1024, 2 * kNodes - i - 1, 2 * kNodes - i, 0});
    }
    const std::size_t bound = lower_bound(training);
    CHECK(plan_memory(training) == bound);
    CHECK(bound == (kNodes + 2) * 1024);  // all activations, the gradient read and the one written
  }
  SECTION("a small one fits between large ones") {
    std::vector<PlannedBuffer> buffers = {
        {"large", 1024, 0, 9, 0}, {"first half", 512, 0, 4, 0}, {"second half", 512, 5, 9, 0}};
    CHECK(plan_memory(buffers) == 1536);
  }
}

TEST_CASE("the same buffers get the same places") {
  std::vector<PlannedBuffer> first = random_buffers(7, false);
  std::vector<PlannedBuffer> second = first;
  for (PlannedBuffer& buffer : second) buffer.offset = 0;
  CHECK(plan_memory(first) == plan_memory(second));
  for (std::size_t i = 0; i < first.size(); ++i) CHECK(first[i].offset == second[i].offset);
}

}  // namespace bsq
