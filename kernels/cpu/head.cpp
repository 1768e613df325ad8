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

/// softmax(row / T) in parts: the logarithm of a class is shifted(c) - log_sum.
struct SoftRow {
  const float* row;
  double temperature;
  double largest;
  double log_sum;

  SoftRow(const float* logits, int classes, double soft_temperature)
      : row(logits), temperature(soft_temperature), largest(static_cast<double>(logits[0])), log_sum(0) {
    for (int i = 1; i < classes; ++i) largest = std::max(largest, static_cast<double>(logits[i]));
    double sum = 0;
    for (int i = 0; i < classes; ++i) sum += std::exp(shifted(i));
    log_sum = std::log(sum);
  }
  double shifted(int i) const { return (static_cast<double>(row[i]) - largest) / temperature; }
  double log_probability(int i) const { return shifted(i) - log_sum; }
};

/// Returns T^2 KL(q || p) of one row. `d_row`, if it is there, keeps 1 - w of what it holds and gets w T (p - q) /
/// batch.
double distill_row(const CrossEntropyArgs& args, const float* logits, const float* teacher, float* d_row) {
  const auto weight = static_cast<double>(args.distillation.weight);
  const auto temperature = static_cast<double>(args.distillation.temperature);
  const SoftRow own(logits, args.classes, temperature), target(teacher, args.classes, temperature);
  double divergence = 0;
  for (int i = 0; i < args.classes; ++i) {
    const double q_log = target.log_probability(i), p_log = own.log_probability(i);
    const double q = std::exp(q_log);
    if (q != 0) divergence += q * (q_log - p_log);
    if (d_row == nullptr) continue;
    const double taught = weight * temperature * (std::exp(p_log) - q) / args.batch;
    d_row[i] = static_cast<float>((1.0 - weight) * static_cast<double>(d_row[i]) + taught);
  }
  return temperature * temperature * divergence;
}

/// The part of the labels in a loss of which the teacher has the rest; without one all of it.
double share_of_labels(double loss, const Distillation& distillation) {
  if (distillation.teacher_logits == nullptr) return loss;
  const double share = 1.0 - static_cast<double>(distillation.weight);
  return share > 0 ? share * loss : 0;  // of infinity too
}

/// What is added to the target of a class because its row is mixed with another one: a part of one label becomes one
/// of the other.
struct MixedLabels {
  int own = 0;
  int other = 0;
  double moved = 0;  // 0: not mixed, or with an image of the same class

  MixedLabels(const CrossEntropyArgs& args, int row, double of_labels)
      : own(args.labels[row]), other(args.labels[args.batch - 1 - row]) {
    if (args.mixed && own != other) moved = of_labels * (1.0 - static_cast<double>(args.inputs->mix.weight));
  }
  double change_of_target(int i) const { return i == other ? moved : i == own ? -moved : 0.0; }
};

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
    double of_row =
        smoothing > 0 ? (1.0 - smoothing) * loss + smoothing * mean_loss(logits, classes, largest, sum) : loss;
    const MixedLabels labels(args, row, 1.0 - smoothing);
    if (labels.moved > 0)
      of_row += labels.moved * (static_cast<double>(logits[label]) - static_cast<double>(logits[labels.other]));
    result.loss_sum += share_of_labels(of_row, args.distillation);
    const int rank = rank_of_label(logits, classes, label);
    result.top1 += rank < 1;
    result.top5 += rank < 5;
    float* d_row = args.d_logits == nullptr ? nullptr : args.d_logits + row * classes;
    for (int i = 0; d_row != nullptr && i < classes; ++i) {
      const double probability = std::exp(static_cast<double>(logits[i] - largest)) / sum;
      const double target = (i == label ? at_label : elsewhere) + labels.change_of_target(i);
      d_row[i] = static_cast<float>((probability - target) / args.batch);
    }
    if (args.distillation.teacher_logits == nullptr) continue;
    const float* teacher = args.distillation.teacher_logits + row * classes;
    result.loss_sum += static_cast<double>(args.distillation.weight) * distill_row(args, logits, teacher, d_row);
  }
}

}  // namespace bsq
