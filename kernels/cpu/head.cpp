// The linear layer by oneDNN's matrix product, and the loss. Pooling is in simd/.
#include "kernels/cpu/cpu_backend.h"

#include <cmath>
#include <limits>

namespace bsq {
namespace {

/// How many logits come before the label's; if the row has a NaN, more than any top-k accepts.
int rank_of_label(const float* logits, int classes, int label) {
  int rank = 0;
  for (int i = 0; i < classes; ++i) {
    if (std::isnan(logits[i])) return std::numeric_limits<int>::max();
    rank += logits[i] > logits[label] || (logits[i] == logits[label] && i < label);
  }
  return rank;
}

/// The mean over all classes of what a row would cost if it were the label.
double mean_loss(const float* logits, int classes, float largest, double exponentials) {
  double sum = 0;
  for (int i = 0; i < classes; ++i) sum += static_cast<double>(logits[i] - largest);
  return std::log(exponentials) - sum / classes;
}

}  // namespace

void CpuBackend::linear_forward(const LinearForwardArgs& args) {
  const auto& [geometry, input, weight, bias, output, unit] = args;
  const auto [batch, in_features, out_features] = geometry;
  gemm(false, true, batch, out_features, in_features, unit.value(), input, weight, GradMode::overwrite, output);
  for (int row = 0; row < batch; ++row)
    for (int column = 0; column < out_features; ++column) output[row * out_features + column] += bias[column];
}

void CpuBackend::linear_backward(const LinearBackwardArgs& args) {
  const auto& [geometry, d_output, input, weight, d_input, d_weight, d_bias, unit, mode] = args;
  const auto [batch, in_features, out_features] = geometry;
  gemm(false, false, batch, in_features, out_features, unit.value(), d_output, weight, mode, d_input);
  gemm(true, false, out_features, in_features, batch, unit.value(), d_output, input, GradMode::overwrite, d_weight);
  for (int column = 0; column < out_features; ++column) {
    double sum = 0;
    for (int row = 0; row < batch; ++row) sum += static_cast<double>(d_output[row * out_features + column]);
    d_bias[column] = static_cast<float>(sum);
  }
}

void CpuBackend::softmax_cross_entropy(const CrossEntropyArgs& args) {
  const int classes = args.classes;
  const float* logits = args.logits;
  StepMetrics& result = args.metrics[args.inputs->metrics_slot];
  result.loss_sum = 0;
  result.top1 = 0;
  result.top5 = 0;
  result.samples = args.batch;
  const double smoothing = static_cast<double>(args.label_smoothing);
  const double elsewhere = smoothing / classes;  // the target of a class that is not the label
  const double at_label = 1.0 - smoothing + elsewhere;
  for (int row = 0; row < args.batch; ++row, logits += classes) {
    const int label = args.labels[row];
    float largest = logits[0];
    for (int i = 1; i < classes; ++i) largest = std::max(largest, logits[i]);
    double sum = 0;
    for (int i = 0; i < classes; ++i) sum += std::exp(static_cast<double>(logits[i] - largest));
    const double loss = std::log(sum) - static_cast<double>(logits[label] - largest);
    result.loss_sum +=
        smoothing > 0 ? (1.0 - smoothing) * loss + smoothing * mean_loss(logits, classes, largest, sum) : loss;
    const int rank = rank_of_label(logits, classes, label);
    result.top1 += rank < 1;
    result.top5 += rank < 5;
    if (args.d_logits == nullptr) continue;
    for (int i = 0; i < classes; ++i) {
      const double probability = std::exp(static_cast<double>(logits[i] - largest)) / sum;
      args.d_logits[row * classes + i] =
          static_cast<float>((probability - (i == label ? at_label : elsewhere)) / args.batch);
    }
  }
}

}  // namespace bsq
