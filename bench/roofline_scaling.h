// Data-parallel training on paper: how long the all-reduce of the gradients takes beside the step of roofline_model.h.
//
// 8 GPUs per node, every GPU with a network link of its own. Ring and tree in the latency-bandwidth model; the faster
// one counts. Ring: reduce-scatter and all-gather in the node, all-reduce of each GPU's eighth between the nodes,
// 2 (p - 1) (latency + bytes / (p rate)) for p ranks. Tree: up and down, 2 log2(p) latency + 2 bytes / rate per level
// of the hierarchy. Work on images shrinks with the batch of a replica; gaps between kernels and the pass over the
// weights do not.
#pragma once

#include "bench/roofline_model.h"

#include <string>
#include <vector>

namespace bsq::bench {

struct Link {
  double bytes_per_s = 0;  // of one GPU, per direction
  double latency_s = 0;    // of a message between neighbours: an assumption
};

struct Cluster {
  int gpus_per_node = 8;
  Link node{450e9, 2e-6};    // NVLink 4
  Link network{50e9, 5e-6};  // InfiniBand, 400 Gbit/s
  double launch_s = 5e-6;    // of the collective itself: an assumption
};

double ring_all_reduce_s(const Cluster& cluster, double size_bytes, int gpus);
double tree_all_reduce_s(const Cluster& cluster, double size_bytes, int gpus);
/// The faster of both; 0 for one GPU.
double all_reduce_s(const Cluster& cluster, double size_bytes, int gpus);

/// What a step of a network costs one GPU, as a straight line over its batch.
struct Workload {
  std::string name;
  double gradient_bytes = 0;
  double seconds_per_image = 0;
  double fixed_s = 0;            // gaps and the pass over the weights
  double backward_share = 0.65;  // of the step: the time in which buckets can travel
  int buckets = 1;               // gradients leave in so many parts if they overlap with backward

  double step_s(double batch) const { return seconds_per_image * batch + fixed_s; }
};

/// ResNet-20 from the list of its kernels; the line through batches 128 and 512.
Workload resnet20_workload(const Machine& machine);
/// As large as a ResNet-50 on 224x224 images: 25.6 M weights; per image 4.1 G multiply-adds and 11.1 M outputs of
/// convolutions. Bytes per output and kernels per convolution are as in ResNet-20.
Workload resnet50_workload(const Machine& machine);

/// The part of the all-reduce that backward does not hide: with one bucket all of it; otherwise the last bucket, and
/// whatever the others take longer than the rest of backward.
double exposed_s(const Cluster& cluster, const Workload& workload, double batch, int gpus, bool overlap);

}  // namespace bsq::bench
