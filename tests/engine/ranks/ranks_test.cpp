// What ranks share out and how they plan it: all that can be said without a second process.
#include "engine/ranks/ranks.h"

#include "tests/support/engine.h"

#include <set>

namespace bsq::test {
namespace {

constexpr std::size_t kQuantizedWeights = 268346;  // of ResNet-20, METHOD 2

std::vector<GradientBucket> buckets_of(const Network& network, std::int64_t least_floats) {
  return plan_buckets(network, lay_out(network.parameters(), ParameterGroup::quantized),
                      lay_out(network.parameters(), ParameterGroup::plain), least_floats);
}

HostTensor tensor_of(const std::string& name, const std::vector<float>& values) {
  return HostTensor::from<float>(name, {static_cast<std::int64_t>(values.size())}, values);
}

}  // namespace

TEST_CASE("slices follow each other, cover the whole once, and differ by one at most") {
  for (const int world : {1, 2, 3, 4, 7, 64}) {
    for (const std::int64_t size : {0, 1, 2, 3, 5, 63, 64, 65, 128, 50000}) {
      INFO(size << " things for " << world << " ranks");
      std::int64_t end = 0;
      const std::int64_t largest = slice_of(size, 0, world).count;
      for (int rank = 0; rank < world; ++rank) {
        const Slice slice = slice_of(size, rank, world);
        CHECK(slice.first == end);
        CHECK(slice.count <= largest);
        CHECK(slice.count >= largest - 1);
        CHECK(slice.count >= 0);
        end += slice.count;
      }
      CHECK(end == size);
    }
  }
  CHECK(slice_of(2, 1, 4) == Slice{1, 1});
  CHECK(slice_of(2, 3, 4) == Slice{2, 0});
}

TEST_CASE("buckets cover every gradient once, in the order in which backward finishes them") {
  ResNetOptions options = tiny_resnet(Activation::pact, 2);
  options.depth = GENERATE(8, 20);
  const Network network = make_resnet(options);
  const std::int64_t least = GENERATE(1, 300, 1 << 20);
  INFO("depth " << options.depth << ", buckets of at least " << least);
  const ArenaLayout quantized = lay_out(network.parameters(), ParameterGroup::quantized);
  const ArenaLayout plain = lay_out(network.parameters(), ParameterGroup::plain);
  const std::vector<GradientBucket> buckets = buckets_of(network, least);

  std::vector<int> covered(static_cast<std::size_t>(quantized.numel + plain.numel));
  std::size_t small = 0;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    const auto [offset, count, node] = buckets[i];
    for (std::int64_t j = offset; j < offset + count; ++j) ++covered[static_cast<std::size_t>(j)];
    if (i > 0) CHECK(node <= buckets[i - 1].node);
    small += count < least ? 1 : 0;
  }
  CHECK(std::all_of(covered.begin(), covered.end(), [](int times) { return times == 1; }));
  CHECK(small <= 2);  // the front of either group
  if (least == 1) CHECK(buckets.size() == network.parameters().size());

  // No bucket leaves before the last of the nodes that write into it.
  for (std::size_t node = 0; node < network.nodes().size(); ++node) {
    for (const ParameterId id : network.nodes()[node].layer->parameters()) {
      const ParameterSpec& spec = network.parameters()[static_cast<std::size_t>(id)];
      const ArenaLayout& group = spec.group == ParameterGroup::quantized ? quantized : plain;
      for (const ParameterSlot& slot : group.slots) {
        if (slot.spec.name != spec.name) continue;
        const std::int64_t place = slot.offset + (&group == &plain ? quantized.numel : 0);
        for (const GradientBucket& bucket : buckets)
          if (bucket.offset <= place && place < bucket.offset + bucket.count) CHECK(bucket.node <= node);
      }
    }
  }
}

TEST_CASE("every parameter belongs to exactly one layer of a network") {
  const Network network = make_resnet(tiny_resnet(Activation::pact, 2));
  std::multiset<ParameterId> ids;
  for (const Node& node : network.nodes())
    for (const ParameterId id : node.layer->parameters()) ids.insert(id);
  CHECK(ids.size() == network.parameters().size());
  for (std::size_t i = 0; i < network.parameters().size(); ++i) CHECK(ids.count(static_cast<ParameterId>(i)) == 1);
}

TEST_CASE("ResNet-20 hands over its dense gradient, 1.07 MB of weights, in several buckets, whatever the bits") {
  const Network network = make_resnet({.depth = 20});
  std::int64_t floats = 0;
  const std::vector<GradientBucket> buckets = buckets_of(network, 64 << 10);
  for (const GradientBucket& bucket : buckets) floats += bucket.count;
  std::size_t plain = 0;
  for (const ParameterSpec& spec : network.parameters())
    if (spec.group == ParameterGroup::plain) plain += static_cast<std::size_t>(spec.shape.numel());
  const auto numbers = static_cast<std::size_t>(floats);
  CHECK(numbers >= kQuantizedWeights + plain);
  CHECK(numbers <= kQuantizedWeights + plain + 16 * network.parameters().size());  // padded to cache lines
  CHECK(4.0 * static_cast<double>(kQuantizedWeights) == Approx(1.07e6).epsilon(0.01));
  CHECK(buckets.size() >= 4);
  CHECK(buckets.front().node > network.nodes().size() / 2);
}

TEST_CASE("a checksum tells type, shape and every single bit apart") {
  const HostTensor tensor = tensor_of("a", {1, 2, 3});
  CHECK(checksum(tensor) == checksum(tensor_of("b", {1, 2, 3})));  // names are compared elsewhere
  std::set<std::uint64_t> seen = {checksum(tensor)};
  for (std::size_t byte = 0; byte < tensor.bytes.size(); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      HostTensor changed = tensor;
      changed.bytes[byte] ^= static_cast<std::byte>(1 << bit);
      CHECK(seen.insert(checksum(changed)).second);
    }
  }
  HostTensor reshaped = tensor;
  reshaped.shape = {1, 3};
  CHECK(seen.insert(checksum(reshaped)).second);
  HostTensor retyped = tensor;
  retyped.dtype = DType::i32;
  CHECK(seen.insert(checksum(retyped)).second);
  CHECK(seen.insert(checksum(tensor_of("a", {2, 1, 3}))).second);
  CHECK(seen.insert(checksum(tensor_of("a", {1, 2, 3, 0}))).second);
}

TEST_CASE("by itself a process gathers what it has, sums to what it has, and finds itself the same") {
  Communicator& ranks = alone();
  CHECK(ranks.rank() == 0);
  CHECK(ranks.world() == 1);
  const std::vector<int> own = {3, 1, 4};
  CHECK(gather(ranks, std::span<const int>(own)) == own);
  CHECK(broadcast_text(ranks, "runs/a") == "runs/a");
  CHECK(broadcast_text(ranks, "").empty());
  std::vector<StepMetrics> metrics = {{.loss_sum = 0.1, .penalty = 2, .top1 = 3, .top5 = 4, .samples = 5}};
  sum_over_ranks(ranks, metrics);
  CHECK(metrics[0].loss_sum == 0.1);
  CHECK(metrics[0].samples == 5);
  CHECK_NOTHROW(check_same_on_ranks(ranks, {tensor_of("a", {1})}, "now"));
}

}  // namespace bsq::test
