// The end of a network: average pooling, the linear layer, the loss.
#pragma once

#include "kernels/types.h"

namespace bsq {

struct PoolGeometry {
  int batch = 0;
  int pixels = 0;  // H * W, all averaged into one
  int channels = 0;
  DType dtype = DType::f32;  // of the input and its gradient; the pooled side is float32
};

/// average_pool_forward: output [N, C] float32 = unit times the mean over pixels of input [N, pixels, C].
struct PoolForwardArgs {
  PoolGeometry geometry;
  const void* input = nullptr;
  TensorUnit unit = {};
  float* output = nullptr;
};

/// average_pool_backward: d_input [N, pixels, C] = unit d_output / pixels, with respect to the stored input.
struct PoolBackwardArgs {
  PoolGeometry geometry;
  const float* d_output = nullptr;
  TensorUnit unit = {};
  void* d_input = nullptr;
  GradMode mode = GradMode::overwrite;
};

struct LinearGeometry {
  int batch = 0;
  int in_features = 0;
  int out_features = 0;
};

/// linear_forward: output [N, O] = unit (input [N, I] weight[O, I]^T) + bias [O].
struct LinearForwardArgs {
  LinearGeometry geometry;
  const float* input = nullptr;
  const float* weight = nullptr;
  const float* bias = nullptr;
  float* output = nullptr;
  TensorUnit unit = {};  // of the input
};

/// linear_backward: d_input = unit d_output weight, with respect to the stored input; d_weight = unit d_output^T input;
/// d_bias = column sums of d_output.
struct LinearBackwardArgs {
  LinearGeometry geometry;
  const float* d_output = nullptr;
  const float* input = nullptr;
  const float* weight = nullptr;
  float* d_input = nullptr;
  float* d_weight = nullptr;
  float* d_bias = nullptr;
  TensorUnit unit = {};                 // of the input
  GradMode mode = GradMode::overwrite;  // of d_input
};

/// What a larger model teaches: beside the labels, softmax(teacher logits / temperature) is a target (METHOD 17).
struct Distillation {
  const float* teacher_logits = nullptr;  // [N, C]; null: nobody teaches
  float weight = 0;                       // w, 0..1: the share of the teacher's target
  float temperature = 1;                  // T, above 0
};

/// softmax_cross_entropy: the mean over the batch of - sum over classes of t log(softmax(logits)), with the target t =
/// (1 - label_smoothing) onehot + label_smoothing / classes, as PyTorch's CrossEntropyLoss has it: d_logits =
/// (softmax(logits) - t) / batch; null in evaluation. With a teacher (1 - w) of both, and w T^2 of the mean of
/// KL(q || p), q = softmax(teacher logits / T), p = softmax(logits / T), whose gradient is w T (p - q) / batch:
/// PyTorch's kl_div(log_softmax(logits / T), log_softmax(teacher / T), log_target=True, "batchmean"). Of images that
/// mix_images has mixed (`mixed`) onehot is w onehot(own label) + (1 - w) onehot(that of row batch - 1 - i), w =
/// inputs->mix.weight. Overwrites loss_sum, top1, top5 and samples of metrics[metrics_slot]. A label counts as top-k if
/// fewer than k logits are larger, or equal and earlier; a row with a NaN never counts.
struct CrossEntropyArgs {
  int batch = 0;
  int classes = 0;
  const float* logits = nullptr;
  const std::int32_t* labels = nullptr;
  float* d_logits = nullptr;
  const StepInputs* inputs = nullptr;
  StepMetrics* metrics = nullptr;
  float label_smoothing = 0;  // 0..1
  Distillation distillation = {};
  bool mixed = false;
};

}  // namespace bsq
