// The rows of a benchmark: every operator of kernels/ops/ on real layers (bench/op_cases.h, bench/large_cases.h).
//
// Bytes are the least any implementation must move, every argument once: a second pass over a tensor (norm_act needs
// one for its statistics) shows as a lower share of the peak. FLOPs are nominal: padding counts, a winograd convolution
// may pass 100 %. Arguments are made when a row is measured, so that only one row's memory is held.
#pragma once

#include "bench/arguments.h"
#include "bench/peaks.h"
#include "bench/statistics.h"
#include "bench/stopwatch.h"

#include <nlohmann/json.hpp>

#include <functional>
#include <string>
#include <vector>

namespace bsq::bench {

template <typename T>
double real(T count) {
  return static_cast<double>(count);
}

using Setup = std::function<Call(Arguments&)>;

struct Row {
  std::string operation;
  std::string shape;
  std::string type;        // "fp32", "tf32" or "bf16"
  int calls_per_step = 0;  // in a BSQ step of ResNet-20; 1 for a large shape
  Cost cost;
  Backend* backend = nullptr;
  Setup setup;
  nlohmann::ordered_json peer;  // what pytorch_ops.py must know; null if PyTorch has no such operation

  std::string name() const { return operation + "/" + shape + "/" + type; }
};

/// A list that rows are added to.
class RowList {
 public:
  RowList(const std::vector<Type>& types, int batch) : types_(types), batch_(batch) {}

  const std::vector<Type>& types() const { return types_; }
  int batch() const { return batch_; }
  void add(const std::string& operation, const std::string& shape, const Type& type, int calls_per_step, Cost cost,
           Setup setup, nlohmann::ordered_json peer = nullptr) {
    if (cost.items == 0) cost.items = batch_;
    rows.push_back({operation, shape, name_of(type.precision), calls_per_step, cost, type.backend, std::move(setup),
                    std::move(peer)});
  }

  std::vector<Row> rows;

 private:
  std::vector<Type> types_;
  int batch_;
};

/// Suite `ops`; `shapes`: "resnet20", "large" or "all".
void add_operators(RowList& list, const std::string& shapes);
/// Suite `planes`: both passes over planes of 1 to 8 bits and the two over fixed-point weights, for one small filter,
/// for the weights of ResNet-20 and for one large filter.
void add_plane_sweep(RowList& list);

// ---- parts of the suite `ops` --------------------------------------------------------------------------------------
void add_convolutions(RowList& list, bool large);
void add_norm_act(RowList& list, bool large);
void add_joining(RowList& list);
void add_offset_quantizers(RowList& list);
void add_levels(RowList& list);
/// Windows and flattening, which no ResNet-20 has.
void add_pooling(RowList& list);
void add_head(RowList& list, bool large);
void add_plane_networks(RowList& list, bool large);
void add_fixed_and_plain(RowList& list);

/// The type of operators that are float32 in every precision.
inline Type float_type(const RowList& list) {
  return {list.types().front().backend, Precision::fp32};
}

/// The types of operators that tf32 does not change.
inline std::vector<Type> storage_types(const RowList& list) {
  std::vector<Type> types = list.types();
  if (types.size() > 1) std::erase_if(types, [](const Type& type) { return type.precision == Precision::tf32; });
  for (Type& type : types)
    if (type.precision == Precision::tf32) type.precision = Precision::fp32;
  return types;
}

}  // namespace bsq::bench
