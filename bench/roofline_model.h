// What one training step must move and multiply on the CUDA backend, kernel by kernel, and how long that takes at
// least.
//
// Counted from the flat list of a network: bytes as the opening comments of kernels/cuda/*.cu state them (each pass
// over a tensor counts, so norm_act's second reading of x does too), FLOPs as Layer::flops does (a multiply-add is
// two). In bf16: convolution weights are written as bf16 by what makes them, quantized activations are levels in bf16.
// floor = max(bytes / bandwidth, FLOPs / rate). Arithmetic outside convolutions and the classifier counts nothing: it
// is below 4 FLOPs a byte, and the machine does 15 in the time of one.
#pragma once

#include "engine/network.h"

#include <optional>
#include <string>
#include <vector>

namespace bsq::bench {

/// Rates of one GPU, an H200; bench/ROOFLINE.md says where each comes from.
struct Machine {
  double bytes_per_s = 4.3e12;
  double bf16_flops = 790e12;
  double tf32_flops = 395e12;
  double fp32_flops = 67e12;  // without tensor cores
  // Assumptions: the distance of two kernels that follow each other inside a CUDA graph.
  double short_gap_s = 1.0e-6;
  double long_gap_s = 1.5e-6;
  double shortest_kernel_s = 2.0e-6;  // of launch, one wave and drain, however little it does

  double flops(Precision precision) const;
  double gap_s() const { return (short_gap_s + long_gap_s) / 2; }
};

/// The same processor with slower memory.
Machine h100();

/// One operation of the backend; `nodes` kernels of a graph.
struct Operation {
  std::string name;   // of its kind and shape: operations of equal name are equal
  std::string group;  // the row of a summary
  double bytes = 0;   // least traffic, all passes
  double flops = 0;   // on the units that Machine::flops speaks of
  int nodes = 1;      // a convolution or a product counts one: its library may take more
  std::optional<ConvGeometry> convolution = std::nullopt;
};

struct StepOptions {
  int batch = 128;
  Precision precision = Precision::bf16;
  int weight_bits = 8;  // 0: a float step
};

/// Everything a step enqueues, in order.
std::vector<Operation> training_step(const Network& network, const StepOptions& options);

double floor_s(const Operation& operation, Precision precision, const Machine& machine);
bool is_memory_bound(const Operation& operation, Precision precision, const Machine& machine);

/// Sums over a list.
struct Totals {
  double bytes = 0;
  double flops = 0;
  int nodes = 0;
  double floor_s = 0;
  double short_kernels_s = 0;  // every node takes at least Machine::shortest_kernel_s

  /// Floors plus gaps, short, in the middle and long.
  double low_s(const Machine& machine) const { return floor_s + nodes * machine.short_gap_s; }
  double middle_s(const Machine& machine) const { return floor_s + nodes * machine.gap_s(); }
  double high_s(const Machine& machine) const { return floor_s + nodes * machine.long_gap_s; }
  /// Long gaps, and no kernel shorter than the shortest.
  double slow_s(const Machine& machine) const { return short_kernels_s + nodes * machine.long_gap_s; }
};

Totals totals_of(const std::vector<Operation>& operations, Precision precision, const Machine& machine);

/// Operations of equal name as one, in the order of their first appearance.
struct Repeated {
  Operation operation;
  int times = 0;
};
std::vector<Repeated> distinct(const std::vector<Operation>& operations);

/// Bytes on the device, besides the images of the data set.
struct StepMemory {
  double planes = 0;  // p and n, at their capacity of 8 bits a weight
  double plane_momentum = 0;
  double weights = 0;      // what layers read, with the plain parameters; in bf16 a second copy of the convolutions'
  double gradients = 0;    // of all parameters
  double momentum = 0;     // of parameters that are not planes
  double activations = 0;  // outputs of all nodes: they live until backward has read them
  double activation_peak = 0;  // with the gradients of activations: the most that is alive at once

  double total() const { return planes + plane_momentum + weights + gradients + momentum + activation_peak; }
};

StepMemory memory_of(const Network& network, const StepOptions& options);

/// A fusion: what it takes away from a step.
struct Saving {
  std::string what;
  double bytes = 0;
  int nodes = 0;
};

/// What fused convolutions would save; no saving counts bytes of another one.
std::vector<Saving> fusion_savings(const Network& network, const StepOptions& options);

/// The floor of a convolution whose product is filled up to tiles of `tile` channels: of its result only, or of both
/// channel counts.
double padded_floor_s(const Operation& operation, Precision precision, const Machine& machine, int tile,
                      bool both_sides);

}  // namespace bsq::bench
