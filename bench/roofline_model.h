// What one training step must move and multiply on the CUDA backend, kernel by kernel, and how long that takes.
//
// Counted from the flat list of a network: bytes as the opening comments of kernels/cuda/*.cu state them (each pass
// over a tensor counts, so norm_act's second reading of x does too), FLOPs as Layer::flops does (a multiply-add is
// two). In bf16: convolution weights are written as bf16 by what makes them, quantized activations are levels in bf16.
// floor = max(bytes / bandwidth, FLOPs / rate). Arithmetic outside convolutions and the classifier is not counted: it
// is below 4 FLOPs per byte, and the machine does 15 in the time of one byte.
//
// In bf16 our own kernels run the convolutions that kernels/cuda/device/own_geometries.h names, and cuDNN the rest, one
// kernel each. A data gradient that is added to another one (+=) reads that one too in our kernels; behind cuDNN's
// kernels the addition is a pass of its own. In fp32 and tf32 cuDNN runs all, and how many kernels its engines launch
// depends on the device: there is a lean and a long list.
#pragma once

#include "engine/network/network.h"

#include <cstdint>
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
  // The distance of two kernels that follow each other inside a CUDA graph, and what a kernel takes that moves little,
  // from its start to the drain of its last block. What has been measured is their sum: 1 us of a kernel of one block
  // that does next to nothing, 5 us of one that waits for memory some times in a row. The division is an assumption.
  double short_gap_s = 0.5e-6;
  double long_gap_s = 1.0e-6;
  double short_latency_s = 0.5e-6;
  double long_latency_s = 4.0e-6;

  double flops(Precision precision) const;
  double gap_s() const { return (short_gap_s + long_gap_s) / 2; }
  double latency_s() const { return (short_latency_s + long_latency_s) / 2; }
};

/// The same processor with slower memory.
Machine h100();

/// One operation of the backend.
struct Operation {
  std::string name;             // its kind and shape: operations of equal name are equal
  std::string group;            // the row of a summary
  std::vector<double> kernels;  // nodes of a graph: the least traffic of each
  double flops = 0;             // of one of them, on the units that Machine::flops speaks of
  std::size_t worker = 0;       // the index of that kernel
  std::optional<ConvGeometry> convolution = std::nullopt;

  double bytes() const;
  int nodes() const { return static_cast<int>(kernels.size()); }
};

/// What our own convolutions, in bf16, do of others' work, each with those before it.
enum class Fusion : std::uint8_t {
  none,
  statistics,      // the output's, for the norm behind it
  gradient_sums,   // of the norm before it, with the data gradient
  parts_together,  // the parts of filter gradients are summed for several layers at once
  norm_in_load,    // the norm before it, where nobody else reads that norm's output
};

struct StepOptions {
  int batch = 128;
  Precision precision = Precision::bf16;
  int weight_bits = 8;  // 0: a float step
  /// The long list, of engines that copy operands into another layout: in tf32 both of a filter gradient, but for 1x1
  /// filters and the last, 64-channel layers; in fp32 operand and result of every forward pass and data gradient.
  /// Nothing of ResNet-20 in bf16.
  bool copies = false;
  Fusion fusion = Fusion::norm_in_load;  // all that are made
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
  double short_kernels_s = 0;  // no kernel below Machine::short_latency_s
  double long_kernels_s = 0;   // none below long_latency_s

  /// The time with the gaps: the least, the most, the middle.
  double low_s(const Machine& machine) const { return short_kernels_s + nodes * machine.short_gap_s; }
  double high_s(const Machine& machine) const { return long_kernels_s + nodes * machine.long_gap_s; }
  double middle_s(const Machine& machine) const { return (low_s(machine) + high_s(machine)) / 2; }
};

Totals totals_of(const std::vector<Operation>& operations, Precision precision, const Machine& machine);

/// How long a step takes: by the lean list if all goes well, by the long one if nothing does.
struct Prediction {
  double low_s = 0;
  double high_s = 0;

  double middle_s() const { return (low_s + high_s) / 2; }
};
Prediction predict(const Network& network, StepOptions options, const Machine& machine);

/// Operations of equal name as one, in the order of their first appearance.
struct Repeated {
  Operation operation;
  int times = 0;
};
std::vector<Repeated> distinct(const std::vector<Operation>& operations);

/// Bytes on the device, besides the images of the data set.
struct StepMemory {
  double planes = 0;  // p and n, at their capacity of 8 bits per weight
  double plane_momentum = 0;
  double weights = 0;      // what layers read, with the plain parameters; in bf16 a second copy of the convolutions'
  double gradients = 0;    // of all parameters
  double momentum = 0;     // of parameters that are not planes
  double activations = 0;  // outputs of all nodes: they live until backward has read them
  double activation_peak = 0;  // with the gradients of activations: the most that is alive at once

  double total() const { return planes + plane_momentum + weights + gradients + momentum + activation_peak; }
};

StepMemory memory_of(const Network& network, const StepOptions& options);

/// The floor of a convolution whose product is filled up to tiles of `tile` channels: of its result only, or of both
/// channel counts.
double padded_floor_s(const Operation& operation, Precision precision, const Machine& machine, int tile,
                      bool both_sides);

}  // namespace bsq::bench
