#include "bench/roofline_scaling.h"

#include "models/resnet.h"

#include <algorithm>
#include <cmath>

namespace bsq::bench {
namespace {

double half_ring_s(const Link& link, double size_bytes, int ranks) {
  return (ranks - 1) * (link.latency_s + size_bytes / ranks / link.bytes_per_s);
}

double tree_s(const Link& link, double size_bytes, int ranks) {
  if (ranks == 1) return 0;
  return 2 * std::ceil(std::log2(ranks)) * link.latency_s + 2 * size_bytes / link.bytes_per_s;
}

/// How many GPUs a node brings in, and how many nodes there are.
struct Division {
  int in_node = 1;
  int nodes = 1;

  Division(const Cluster& cluster, int gpus)
      : in_node(std::min(gpus, cluster.gpus_per_node)),
        nodes((gpus + cluster.gpus_per_node - 1) / cluster.gpus_per_node) {}
};

std::vector<Operation> resnet20_step(int batch) {
  return training_step(make_resnet({.act_bits = 4}), {.batch = batch});
}

double resnet20_s(int batch, const Machine& machine) {
  return predict(make_resnet({.act_bits = 4}), {.batch = batch}, machine).middle_s();
}

}  // namespace

double ring_all_reduce_s(const Cluster& cluster, double size_bytes, int gpus) {
  const auto [in_node, nodes] = Division(cluster, gpus);
  return 2 * half_ring_s(cluster.node, size_bytes, in_node) +
         2 * half_ring_s(cluster.network, size_bytes / in_node, nodes);
}

double tree_all_reduce_s(const Cluster& cluster, double size_bytes, int gpus) {
  const auto [in_node, nodes] = Division(cluster, gpus);
  return tree_s(cluster.node, size_bytes, in_node) + tree_s(cluster.network, size_bytes / in_node, nodes);
}

double all_reduce_s(const Cluster& cluster, double size_bytes, int gpus) {
  if (gpus == 1) return 0;
  return cluster.launch_s +
         std::min(ring_all_reduce_s(cluster, size_bytes, gpus), tree_all_reduce_s(cluster, size_bytes, gpus));
}

Workload resnet20_workload(const Machine& machine) {
  constexpr int small = 128;
  constexpr int large = 512;
  const double small_s = resnet20_s(small, machine);
  const double large_s = resnet20_s(large, machine);
  Workload workload{"ResNet-20", memory_of(make_resnet({}), {}).gradients};
  workload.seconds_per_image = (large_s - small_s) / (large - small);
  workload.fixed_s = small_s - small * workload.seconds_per_image;
  return workload;
}

Workload resnet50_workload(const Machine& machine) {
  constexpr double weights = 25.6e6;
  constexpr double flops_per_image = 3 * 2 * 4.1e9;  // forward and both gradients, a multiply-add is two
  constexpr double outputs_per_image = 11.1e6;
  constexpr int convolutions = 53;
  constexpr double plane_bytes = (8 * 8 + 1) * 4 + 2;  // per weight
  constexpr int batch = 128;
  double outputs = 0;
  double activation_bytes = 0;
  double nodes = 0;
  int counted = 0;
  for (const Operation& operation : resnet20_step(batch)) {
    nodes += operation.nodes();
    if (operation.group == "planes" || operation.group == "sgd") continue;
    activation_bytes += operation.bytes();
    if (operation.group != "conv forward") continue;
    outputs += static_cast<double>(operation.convolution->output_shape().numel());
    ++counted;
  }
  Workload workload{"ResNet-50-sized", weights * 4};
  workload.seconds_per_image = std::max(flops_per_image / machine.bf16_flops,
                                        outputs_per_image * activation_bytes / outputs / machine.bytes_per_s);
  workload.fixed_s = weights * plane_bytes / machine.bytes_per_s + nodes / counted * convolutions * machine.gap_s();
  workload.buckets = 4;
  return workload;
}

double exposed_s(const Cluster& cluster, const Workload& workload, double batch, int gpus, bool overlap) {
  if (!overlap || workload.buckets == 1) return all_reduce_s(cluster, workload.gradient_bytes, gpus);
  const double bucket_s = all_reduce_s(cluster, workload.gradient_bytes / workload.buckets, gpus);
  const double all_s = bucket_s * workload.buckets;
  // The first bucket is full after its share of backward.
  const double hidden_s = workload.step_s(batch) * workload.backward_share * (workload.buckets - 1) / workload.buckets;
  return std::max(bucket_s, all_s - hidden_s);
}

}  // namespace bsq::bench
