// The arguments of the larger operations of backend.h, each as one aggregate: the interface, the CPU's own loops and
// the CUDA kernels take the same ones. Contracts: backend.h.
#pragma once

#include "kernels/types.h"

namespace bsq {

class BatchSlice;

struct NormActForwardArgs {
  NormActGeometry geometry;
  NormActRule rule;
  const void* x = nullptr;
  const void* shortcut = nullptr;
  NormParameters parameters;
  NormSaved saved;
  void* y = nullptr;
  void* scratch = nullptr;
  TensorUnit x_unit = {};
  TensorUnit shortcut_unit = {};
  float* y_unit = nullptr;  // null: y is stored as it is; else as integer levels, and the unit goes here (act_bits > 0)
  const float* act_scale = nullptr;  // [1]; null: S = max|y|; else S is this, and y is clamped to +-S
  BatchSlice* slice = nullptr;       // of whose batch the statistics and S shall be; null: they are those of x
};

struct NormActBackwardArgs {
  NormActGeometry geometry;
  NormActRule rule;
  const void* d_y = nullptr;
  const void* x = nullptr;
  const void* shortcut = nullptr;
  NormParameters parameters;
  NormSaved saved;
  void* d_x = nullptr;
  void* d_shortcut = nullptr;
  GradMode shortcut_mode = GradMode::overwrite;
  NormGradients gradients;
  void* scratch = nullptr;
  TensorUnit x_unit = {};
  TensorUnit shortcut_unit = {};
  const float* y_unit = nullptr;  // as in forward
  BatchSlice* slice = nullptr;    // likewise
};

struct PlanesForwardArgs {
  DeviceTable<PlaneTensor> tensors;
  const float* planes = nullptr;
  const float* scales = nullptr;
  float* weights = nullptr;
  float* weight_units = nullptr;  // [tensors]; written where weights are integers; null where none are
  float* plane_norms = nullptr;
  double* penalty = nullptr;  // [1]; may be null
  void* scratch = nullptr;
};

struct PlanesStepArgs {
  DeviceTable<PlaneTensor> tensors;
  SgdRule rule;
  float alpha = 0;
  const StepInputs* inputs = nullptr;
  const float* d_weights = nullptr;
  float* planes = nullptr;
  float* plane_momentum = nullptr;
  float* scales = nullptr;
  float* scale_momentum = nullptr;
  float* weights = nullptr;  // these four as weights_from_planes leaves them, before the step and after
  float* weight_units = nullptr;
  float* plane_norms = nullptr;
  double* penalty = nullptr;
  StepMetrics* metrics = nullptr;  // may be null
  void* scratch = nullptr;
};

struct FixedForwardArgs {
  DeviceTable<FixedTensor> tensors;
  const float* u = nullptr;
  const float* scales = nullptr;
  float* weights = nullptr;
  float* weight_units = nullptr;  // as in PlanesForwardArgs
};

struct FixedStepArgs {
  DeviceTable<FixedTensor> tensors;
  SgdRule rule;
  const StepInputs* inputs = nullptr;
  const float* d_weights = nullptr;
  float* u = nullptr;
  float* u_momentum = nullptr;
  float* scales = nullptr;
  float* scale_momentum = nullptr;
  void* scratch = nullptr;
};

struct PlaneCountArgs {
  DeviceTable<PlaneTensor> tensors;
  const float* planes = nullptr;
  const float* scales = nullptr;
  WeightCounts* counts = nullptr;  // [tensors]
};

struct FixedCountArgs {
  DeviceTable<FixedTensor> tensors;
  const float* u = nullptr;
  const float* scales = nullptr;
  WeightCounts* counts = nullptr;  // [tensors]
};

struct AugmentArgs {
  AugmentRule rule;
  SampleSource source;
  const StepInputs* inputs = nullptr;
  int batch = 0;
  TensorView output;
  std::int32_t* labels = nullptr;
};

}  // namespace bsq
