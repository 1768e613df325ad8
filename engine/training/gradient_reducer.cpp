// Buckets of gradients: planned once, sent in the same order by every rank.
#include "engine/training/gradient_reducer.h"

#include "kernels/base/error.h"

#include <algorithm>
#include <limits>

namespace bsq {
namespace {

// 256 KiB: the last layers of a network have their gradients first and most of the weights, and messages of this size
// run at full speed.
constexpr std::int64_t kBucketFloats = std::int64_t{64} << 10;

/// Per parameter, the node whose backward pass writes its gradient last.
std::vector<std::size_t> last_writers(const Network& network) {
  const std::size_t nobody = network.nodes().size();
  std::vector<std::size_t> writers(network.parameters().size(), nobody);
  for (std::size_t node = 0; node < nobody; ++node)
    for (const ParameterId id : network.nodes()[node].layer->parameters()) {
      std::size_t& writer = writers[static_cast<std::size_t>(id)];
      writer = std::min(writer, node);
    }
  for (std::size_t i = 0; i < writers.size(); ++i)
    require(writers[i] < nobody, "no layer says that {} is its parameter", network.parameters()[i].name);
  return writers;
}

void plan_group(const ArenaLayout& layout, const std::vector<std::size_t>& slot_nodes, std::int64_t group_offset,
                std::int64_t least_floats, std::vector<GradientBucket>& buckets) {
  constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
  std::int64_t end = layout.numel;
  std::size_t node = none;  // the last of the bucket's to be done
  for (std::size_t i = layout.slots.size(); i-- > 0;) {
    const std::int64_t begin = layout.slots[i].offset;
    node = std::min(node, slot_nodes[i]);
    if (end - begin < least_floats && i > 0) continue;
    buckets.push_back({group_offset + begin, end - begin, node});
    end = begin;
    node = none;
  }
}

}  // namespace

std::vector<GradientBucket> plan_buckets(const Network& network, const ArenaLayout& quantized, const ArenaLayout& plain,
                                         std::int64_t least_floats) {
  const std::vector<std::size_t> writers = last_writers(network);
  std::vector<std::size_t> quantized_nodes;
  std::vector<std::size_t> plain_nodes;
  for (std::size_t i = 0; i < writers.size(); ++i) {
    const bool is_quantized = network.parameters()[i].group == ParameterGroup::quantized;
    (is_quantized ? quantized_nodes : plain_nodes).push_back(writers[i]);
  }
  std::vector<GradientBucket> buckets;
  plan_group(quantized, quantized_nodes, 0, least_floats, buckets);
  plan_group(plain, plain_nodes, quantized.numel, least_floats, buckets);
  std::stable_sort(buckets.begin(), buckets.end(),
                   [](const GradientBucket& a, const GradientBucket& b) { return a.node > b.node; });
  return buckets;
}

GradientReducer::GradientReducer(Communicator& communicator, Model& model)
    : communicator_(communicator), model_(model) {
  if (communicator.world() > 1)
    buckets_ = plan_buckets(model.network(), model.quantized_layout(), model.plain_layout(), kBucketFloats);
}

void GradientReducer::start_statistics(float weight) {
  next_bucket_ = 0;
  if (communicator_.world() == 1) return;
  const Buffer& states = model_.states();
  communicator_.start_weighted_sum(states.as<float>(), states.size_bytes() / sizeof(float), weight);
}

void GradientReducer::node_done(std::size_t node, float weight) {
  for (; next_bucket_ < buckets_.size() && buckets_[next_bucket_].node >= node; ++next_bucket_) {
    const GradientBucket& bucket = buckets_[next_bucket_];
    communicator_.start_weighted_sum(model_.gradients().as<float>() + bucket.offset,
                                     static_cast<std::size_t>(bucket.count), weight);
  }
}

void GradientReducer::finish() {
  require(next_bucket_ == buckets_.size(), "{} of {} buckets of gradients are ready", next_bucket_, buckets_.size());
  communicator_.finish_reductions();
}

ReducedBytes GradientReducer::bytes_per_step() const {
  if (communicator_.world() == 1) return {};
  ReducedBytes bytes{.statistics = model_.states().size_bytes()};
  for (const GradientBucket& bucket : buckets_)
    bytes.gradients += static_cast<std::size_t>(bucket.count) * sizeof(float);
  return bytes;
}

}  // namespace bsq
