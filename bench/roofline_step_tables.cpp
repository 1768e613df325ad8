// The tables about one GPU.
#include "bench/roofline_model.h"
#include "bench/roofline_tables.h"
#include "models/resnet.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace bsq::bench {
namespace {

constexpr int kImages = 50'000;
constexpr int kEpochs = 350;
constexpr int kActBits = 4;
constexpr int kBatches[] = {128, 512};
constexpr Precision kPrecisions[] = {Precision::fp32, Precision::tf32, Precision::bf16};
constexpr double kMicro = 1e6;
constexpr double kMega = 1e-6;
constexpr double kGiga = 1e-9;
constexpr const char* kNotMeasured = "not yet";

std::string number(double value, int digits = 1) {
  return fmt::format("{:.{}f}", value, digits);
}

Network network_of(int weight_bits) {
  return make_resnet({.act_bits = weight_bits > 0 ? kActBits : 0});
}

std::vector<Operation> step_of(const StepOptions& options) {
  return training_step(network_of(options.weight_bits), options);
}

Totals totals_of(const StepOptions& options, const Machine& machine = {}) {
  return bench::totals_of(step_of(options), options.precision, machine);
}

Prediction predict(const StepOptions& options, const Machine& machine = {}) {
  return bench::predict(network_of(options.weight_bits), options, machine);
}

std::string range_of(const Prediction& prediction) {
  return fmt::format("{:.0f} to {:.0f}", prediction.low_s * kMicro, prediction.high_s * kMicro);
}

/// `154`, or `154 to 240` if cuDNN may launch more.
std::string range_of(int lean, int copying) {
  return lean == copying ? std::to_string(lean) : fmt::format("{} to {}", lean, copying);
}

StepOptions copying(StepOptions options) {
  options.copies = true;
  return options;
}

std::string step_name(const StepOptions& options) {
  return fmt::format("{}, {}, batch {}", options.weight_bits > 0 ? "BSQ" : "float", name_of(options.precision),
                     options.batch);
}

Table rates() {
  const Machine machine;
  return {"rates",
          {"what", "value"},
          {{"device memory, bytes read plus bytes written",
            fmt::format("{:.1f} TB/s (H100: {:.1f})", machine.bytes_per_s * 1e-12, h100().bytes_per_s * 1e-12)},
           {"bf16 products on tensor cores", number(machine.bf16_flops * 1e-12, 0) + " TFLOP/s"},
           {"tf32 products on tensor cores", number(machine.tf32_flops * 1e-12, 0) + " TFLOP/s"},
           {"fp32 without tensor cores", number(machine.fp32_flops * 1e-12, 0) + " TFLOP/s"},
           {"gap between two kernels of a graph",
            fmt::format("{:.1f} to {:.1f} us", machine.short_gap_s * kMicro, machine.long_gap_s * kMicro)},
           {"least time of a kernel",
            fmt::format("{:.1f} to {:.1f} us", machine.short_latency_s * kMicro, machine.long_latency_s * kMicro)}}};
}

Table steps() {
  Table table{"steps",
              {"step", "least MB", "GFLOP", "kernels", "floor us", "predicted us", "predicted us, H100", "s an epoch",
               "350 epochs, min", "BSQ / float", "measured us"},
              {}};
  const Machine machine;
  for (const int batch : kBatches) {
    for (const Precision precision : kPrecisions) {
      const double plain_s = predict({batch, precision, 0}).middle_s();
      for (const int bits : {0, 8}) {
        const StepOptions options{batch, precision, bits};
        const Totals totals = totals_of(options);
        const Prediction predicted = predict(options);
        const double epoch_s = predicted.middle_s() * std::ceil(static_cast<double>(kImages) / batch);
        table.rows.push_back({step_name(options), number(totals.bytes * kMega, 0), number(totals.flops * kGiga),
                              range_of(totals.nodes, totals_of(copying(options)).nodes),
                              number(totals.floor_s * kMicro, 0), range_of(predicted),
                              range_of(predict(options, h100())), number(epoch_s, 3), number(epoch_s * kEpochs / 60),
                              bits > 0 ? number(predicted.middle_s() / plain_s, 3) : "", kNotMeasured});
      }
    }
  }
  return table;
}

/// The operations of one group.
Totals group_totals(const std::string& group, const StepOptions& options) {
  std::vector<Operation> chosen = step_of(options);
  std::erase_if(chosen, [&](const Operation& operation) { return operation.group != group; });
  return bench::totals_of(chosen, options.precision, Machine());
}

Table groups() {
  Table table{"groups", {"kernels of a BSQ step", "count, bf16", "least MB, bf16, 128"}, {}};
  for (const int batch : kBatches)
    for (const Precision precision : kPrecisions)
      table.head.push_back(fmt::format("{}, {}: us", name_of(precision), batch));
  for (const int batch : kBatches) table.head.push_back(fmt::format("predicted us, bf16, {}", batch));
  for (const int batch : kBatches) table.head.push_back(fmt::format("measured us, bf16, {}", batch));
  for (const Repeated& repeated : distinct(step_of({}))) {
    const std::string& group = repeated.operation.group;
    if (std::ranges::any_of(table.rows, [&](const auto& row) { return row.front() == group; })) continue;
    const Totals lean = group_totals(group, {});
    std::vector<std::string> row{group, range_of(lean.nodes, group_totals(group, copying({})).nodes),
                                 number(lean.bytes * kMega)};
    for (const int batch : kBatches)
      for (const Precision precision : kPrecisions)
        row.push_back(number(group_totals(group, {batch, precision, 8}).floor_s * kMicro));
    for (const int batch : kBatches) {
      const StepOptions options{.batch = batch};
      row.push_back(range_of(
          {group_totals(group, options).low_s(Machine()), group_totals(group, copying(options)).high_s(Machine())}));
    }
    row.insert(row.end(), std::size(kBatches), kNotMeasured);
    table.rows.push_back(row);
  }
  return table;
}

/// Filled in by bench/roofline_measured.py alone.
Table profile() {
  return {"profile", {"measured kernel of a BSQ step, bf16, batch 128", "launches", "us"}, {}};
}

Table memory() {
  Table table{"memory",
              {"step", "planes MB", "their momentum", "weights", "gradients", "other momentum", "activations",
               "with their gradients", "all"},
              {}};
  for (const int batch : kBatches) {
    for (const Precision precision : {Precision::fp32, Precision::bf16}) {
      for (const int bits : {0, 8}) {
        const StepOptions options{batch, precision, bits};
        const StepMemory used = memory_of(network_of(bits), options);
        std::vector<std::string> row{step_name(options)};
        for (const double bytes : {used.planes, used.plane_momentum, used.weights, used.gradients, used.momentum})
          row.push_back(number(bytes * kMega));
        for (const double bytes : {used.activations, used.activation_peak, used.total()})
          row.push_back(number(bytes * kMega, 0));
        table.rows.push_back(row);
      }
    }
  }
  return table;
}

Table fusions() {
  constexpr std::pair<Fusion, const char*> made[] = {
      {Fusion::none, "every operation has kernels of its own"},
      {Fusion::statistics, "statistics and extremes of a norm's input by the forward convolution"},
      {Fusion::gradient_sums, "and sums of a norm's gradients by the data gradient"},
      {Fusion::parts_together, "and parts of filter gradients summed for several layers at once"},
      {Fusion::norm_in_load,
       "and the first norm of a block in the load of the next convolution, its output never stored"},
  };
  Table table{"fusions", {"a BSQ step in bf16", "kernels"}, {}};
  for (const int batch : kBatches)
    for (const char* what : {"MB", "predicted us"}) table.head.push_back(fmt::format("{}, {}", batch, what));
  table.head.push_back("measured us, 128");
  for (const auto& [fusion, what] : made) {
    std::vector<std::string> row{what, std::to_string(totals_of({.fusion = fusion}).nodes)};
    for (const int batch : kBatches) {
      const StepOptions options{.batch = batch, .fusion = fusion};
      row.push_back(number(totals_of(options).bytes * kMega, 0));
      row.push_back(range_of(predict(options)));
    }
    row.push_back(kNotMeasured);
    table.rows.push_back(row);
  }
  return table;
}

Table tiles() {
  constexpr int tile = 64;
  Table table{"tiles",
              {"convolution, three directions", "times", "least MB", "GFLOP", "floor us", "result filled up to 64",
               "both channel counts filled up to 64"},
              {}};
  const Machine machine;
  const Precision precision = Precision::tf32;  // which cuDNN runs
  const std::vector<Repeated> list = distinct(step_of({.precision = precision}));
  for (const Repeated& first : list) {
    if (first.operation.group != "conv forward") continue;
    const std::string& name = first.operation.name;
    const std::string shape = name.substr(0, name.rfind(" forward"));
    double bytes = 0;
    double flops = 0;
    double us[3] = {};
    for (const auto& [operation, times] : list) {
      if (operation.convolution != first.operation.convolution) continue;
      bytes += times * operation.bytes();
      flops += times * operation.flops;
      us[0] += times * kMicro * floor_s(operation, precision, machine);
      us[1] += times * kMicro * padded_floor_s(operation, precision, machine, tile, false);
      us[2] += times * kMicro * padded_floor_s(operation, precision, machine, tile, true);
    }
    table.rows.push_back({shape, std::to_string(first.times), number(bytes * kMega), number(flops * kGiga),
                          number(us[0]), number(us[1]), number(us[2])});
  }
  return table;
}

/// The same operation in the list for another batch and precision; null if there is none, as for casts in fp32.
const Operation* find(const std::vector<Operation>& list, const std::string& name) {
  const auto found = std::ranges::find(list, name, &Operation::name);
  return found == list.end() ? nullptr : &*found;
}

Table kernels() {
  Table table{"kernels",
              {"operation", "times", "kernels each", "MFLOP", "MB fp32", "MB bf16", "fp32 us", "tf32 us", "bf16 us",
               "512: fp32 us", "tf32 us", "bf16 us", "bound, fp32 / tf32 / bf16"},
              {}};
  const Machine machine;
  std::vector<Repeated> list = distinct(step_of({}));
  const std::vector<Operation> copying_step = step_of(copying({}));
  std::vector<std::string> groups_in_order;
  for (const Repeated& repeated : list) groups_in_order.push_back(repeated.operation.group);
  std::ranges::stable_sort(list, {}, [&](const Repeated& repeated) {  // groups as they first appear
    return std::ranges::find(groups_in_order, repeated.operation.group) - groups_in_order.begin();
  });
  for (const auto& [first, times] : list) {
    std::vector<std::string> us;
    std::string bounds;
    std::string wide_mb;
    for (const int batch : kBatches) {
      for (const Precision precision : kPrecisions) {
        const std::vector<Operation> step = step_of({batch, precision, 8});
        const Operation* operation = find(step, first.name);
        us.push_back(operation == nullptr ? "" : number(floor_s(*operation, precision, machine) * kMicro, 2));
        if (operation == nullptr || batch != kBatches[0]) continue;
        if (precision == Precision::fp32) wide_mb = number(operation->bytes() * kMega, 2);
        bounds += bounds.empty() ? "" : " / ";
        bounds += is_memory_bound(*operation, precision, machine) ? "memory" : "arithmetic";
      }
    }
    for (const std::string bound : {"memory", "arithmetic"})
      if (bounds == fmt::format("{0} / {0} / {0}", bound)) bounds = bound;
    std::vector<std::string> row{first.name,
                                 std::to_string(times),
                                 range_of(first.nodes(), find(copying_step, first.name)->nodes()),
                                 number(first.flops * kMega),
                                 wide_mb,
                                 number(first.bytes() * kMega, 2)};
    row.insert(row.end(), us.begin(), us.end());
    row.push_back(bounds);
    table.rows.push_back(row);
  }
  return table;
}

}  // namespace

std::vector<Table> step_tables() {
  return {rates(), steps(), groups(), profile(), memory(), fusions(), tiles(), kernels()};
}

}  // namespace bsq::bench
