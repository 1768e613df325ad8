// How long the operations of roofline_model.h take.
#include "bench/roofline_model.h"

#include "kernels/base/error.h"

#include <algorithm>
#include <numeric>

namespace bsq::bench {
namespace {

double rate_of(const Operation& operation, Precision precision, const Machine& machine) {
  if (operation.convolution) return machine.flops(precision);
  return machine.flops(precision == Precision::tf32 ? Precision::tf32 : Precision::fp32);  // the classifier
}

/// The floor of one kernel.
double kernel_s(const Operation& operation, std::size_t kernel, Precision precision, const Machine& machine) {
  const double flops = kernel == operation.worker ? operation.flops : 0;
  return std::max(operation.kernels[kernel] / machine.bytes_per_s, flops / rate_of(operation, precision, machine));
}

}  // namespace

double Machine::flops(Precision precision) const {
  return precision == Precision::bf16 ? bf16_flops : precision == Precision::tf32 ? tf32_flops : fp32_flops;
}

Machine h100() {
  Machine machine;
  machine.bytes_per_s = 3.0e12;
  return machine;
}

double Operation::bytes() const {
  return std::reduce(kernels.begin(), kernels.end());
}

double floor_s(const Operation& operation, Precision precision, const Machine& machine) {
  double sum = 0;
  for (std::size_t i = 0; i < operation.kernels.size(); ++i) sum += kernel_s(operation, i, precision, machine);
  return sum;
}

bool is_memory_bound(const Operation& operation, Precision precision, const Machine& machine) {
  if (operation.kernels.empty()) return true;  // others do it on their way
  return operation.kernels[operation.worker] / machine.bytes_per_s >=
         operation.flops / rate_of(operation, precision, machine);
}

Totals totals_of(const std::vector<Operation>& operations, Precision precision, const Machine& machine) {
  Totals totals;
  for (const Operation& operation : operations) {
    totals.bytes += operation.bytes();
    totals.flops += operation.flops;
    totals.nodes += operation.nodes();
    for (std::size_t i = 0; i < operation.kernels.size(); ++i) {
      const double floor = kernel_s(operation, i, precision, machine);
      totals.floor_s += floor;
      totals.short_kernels_s += std::max(floor, machine.short_latency_s);
      totals.long_kernels_s += std::max(floor, machine.long_latency_s);
    }
  }
  return totals;
}

Prediction predict(const Network& network, StepOptions options, const Machine& machine) {
  options.copies = false;
  const Totals lean = totals_of(training_step(network, options), options.precision, machine);
  options.copies = true;
  const Totals copying = totals_of(training_step(network, options), options.precision, machine);
  return {lean.low_s(machine), copying.high_s(machine)};
}

std::vector<Repeated> distinct(const std::vector<Operation>& operations) {
  std::vector<Repeated> result;
  for (const Operation& operation : operations) {
    const auto known = std::ranges::find_if(
        result, [&](const Repeated& repeated) { return repeated.operation.name == operation.name; });
    known == result.end() ? result.push_back({operation, 1}) : static_cast<void>(++known->times);
  }
  return result;
}

double padded_floor_s(const Operation& operation, Precision precision, const Machine& machine, int tile,
                      bool both_sides) {
  require(operation.convolution.has_value(), "padded_floor_s: {} is no convolution", operation.name);
  const ConvGeometry& g = *operation.convolution;
  const auto factor = [&](int channels) {
    return static_cast<double>((channels + tile - 1) / tile * tile) / static_cast<double>(channels);
  };
  const bool writes_input_side = operation.group == "conv backward data";
  Operation padded = operation;
  padded.flops *= both_sides ? factor(g.group_inputs()) * factor(g.group_outputs())
                             : factor(writes_input_side ? g.group_inputs() : g.group_outputs());
  return floor_s(padded, precision, machine);
}

}  // namespace bsq::bench
