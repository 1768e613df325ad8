// The oracle: pooling, the linear layer and the loss. Contracts and formulas: kernels/ops/head.h.
#include "kernels/reference/reference_backend.h"

#include "kernels/reference/elements.h"

#include <algorithm>
#include <cmath>

namespace bsq {

void ReferenceBackend::average_pool_forward(const PoolForwardArgs& args) {
  const auto& [geometry, input, unit, output] = args;
  for (int n = 0; n < geometry.batch; ++n) {
    for (int c = 0; c < geometry.channels; ++c) {
      double sum = 0;
      for (int pixel = 0; pixel < geometry.pixels; ++pixel) {
        const std::int64_t index = (std::int64_t{n} * geometry.pixels + pixel) * geometry.channels + c;
        sum += reference::load(geometry.dtype, input, index);
      }
      output[std::int64_t{n} * geometry.channels + c] = static_cast<float>(unit.value() * sum / geometry.pixels);
    }
  }
}

void ReferenceBackend::average_pool_backward(const PoolBackwardArgs& args) {
  const auto& [geometry, d_output, unit, d_input, mode] = args;
  for (int n = 0; n < geometry.batch; ++n) {
    for (int pixel = 0; pixel < geometry.pixels; ++pixel) {
      for (int c = 0; c < geometry.channels; ++c) {
        const std::int64_t index = (std::int64_t{n} * geometry.pixels + pixel) * geometry.channels + c;
        const double d_mean = d_output[std::int64_t{n} * geometry.channels + c];
        reference::store_gradient(geometry.dtype, d_input, index, unit.value() * d_mean / geometry.pixels, mode);
      }
    }
  }
}

void ReferenceBackend::linear_forward(const LinearForwardArgs& args) {
  const auto& [geometry, input, weight, bias, output, unit] = args;
  for (std::int64_t n = 0; n < geometry.batch; ++n) {
    for (std::int64_t o = 0; o < geometry.out_features; ++o) {
      double sum = bias[o];
      for (std::int64_t i = 0; i < geometry.in_features; ++i) {
        sum += unit.value() * (double{input[n * geometry.in_features + i]} * weight[o * geometry.in_features + i]);
      }
      output[n * geometry.out_features + o] = static_cast<float>(sum);
    }
  }
}

void ReferenceBackend::linear_backward(const LinearBackwardArgs& args) {
  const auto& [geometry, d_output, input, weight, d_input, d_weight, d_bias, unit, mode] = args;
  const std::int64_t in_features = geometry.in_features;
  const std::int64_t out_features = geometry.out_features;
  for (std::int64_t n = 0; n < geometry.batch; ++n) {
    for (std::int64_t i = 0; i < in_features; ++i) {
      double sum = 0;
      for (std::int64_t o = 0; o < out_features; ++o) {
        sum += double{d_output[n * out_features + o]} * weight[o * in_features + i];
      }
      reference::store_gradient(DType::f32, d_input, n * in_features + i, unit.value() * sum, mode);
    }
  }
  for (std::int64_t o = 0; o < out_features; ++o) {
    double bias_sum = 0;
    for (std::int64_t n = 0; n < geometry.batch; ++n) bias_sum += d_output[n * out_features + o];
    d_bias[o] = static_cast<float>(bias_sum);
    for (std::int64_t i = 0; i < in_features; ++i) {
      double sum = 0;
      for (std::int64_t n = 0; n < geometry.batch; ++n) {
        sum += double{d_output[n * out_features + o]} * input[n * in_features + i];
      }
      d_weight[o * in_features + i] = static_cast<float>(unit.value() * sum);
    }
  }
}

namespace {

/// softmax(row / T) in parts: the logarithm of a class is shifted(c) - log_sum.
struct SoftRow {
  const float* row = nullptr;
  double temperature = 1;
  double largest = 0;
  double log_sum = 0;

  SoftRow(const float* logits, int classes, double soft_temperature)
      : row(logits), temperature(soft_temperature), largest(*std::max_element(logits, logits + classes)) {
    double sum = 0;
    for (int c = 0; c < classes; ++c) sum += std::exp(shifted(c));
    log_sum = std::log(sum);
  }
  double shifted(int c) const { return (row[c] - largest) / temperature; }
  double log_probability(int c) const { return shifted(c) - log_sum; }
};

/// Returns T^2 KL(q || p) of one row. `d_row`, if it is there, keeps 1 - w of what it holds and gets w T (p - q) /
/// batch.
double distill_row(const CrossEntropyArgs& args, const float* row, const float* teacher, float* d_row) {
  const double weight = args.distillation.weight, temperature = args.distillation.temperature;
  const SoftRow own(row, args.classes, temperature), target(teacher, args.classes, temperature);
  double divergence = 0;
  for (int c = 0; c < args.classes; ++c) {
    const double q = std::exp(target.log_probability(c)), p = std::exp(own.log_probability(c));
    if (q != 0) divergence += q * (target.log_probability(c) - own.log_probability(c));
    if (d_row != nullptr)
      d_row[c] = static_cast<float>((1 - weight) * d_row[c] + weight * temperature * (p - q) / args.batch);
  }
  return temperature * temperature * divergence;
}

}  // namespace

void ReferenceBackend::softmax_cross_entropy(const CrossEntropyArgs& args) {
  const auto& [batch, classes, logits, labels, d_logits, inputs, metrics, label_smoothing, distillation, mixed] = args;
  const double of_labels = distillation.teacher_logits == nullptr ? 1 : 1 - double{distillation.weight};
  const double elsewhere = double{label_smoothing} / classes;  // the target of a class that is not the label
  const double own_share = mixed ? double{inputs->mix.weight} : 1;
  double loss_sum = 0;
  std::int64_t top1 = 0;
  std::int64_t top5 = 0;
  for (int n = 0; n < batch; ++n) {
    const float* row = logits + std::int64_t{n} * classes;
    const int label = labels[n], other = labels[batch - 1 - n];
    const auto target_of = [&](int c) {
      const double hard = own_share * (c == label ? 1 : 0) + (1 - own_share) * (c == other ? 1 : 0);
      return (1 - double{label_smoothing}) * hard + elsewhere;
    };
    const double largest = *std::max_element(row, row + classes);
    double exponentials = 0;
    for (int c = 0; c < classes; ++c) exponentials += std::exp(row[c] - largest);
    for (int c = 0; c < classes; ++c) {
      const double target = target_of(c);
      if (of_labels * target > 0) loss_sum += of_labels * target * (std::log(exponentials) - (row[c] - largest));
    }

    int ahead = 0;  // logits that come before the label's
    bool has_nan = false;
    for (int c = 0; c < classes; ++c) {
      has_nan = has_nan || std::isnan(row[c]);
      if (row[c] > row[label] || (row[c] == row[label] && c < label)) ++ahead;
    }
    if (!has_nan && ahead < 1) ++top1;
    if (!has_nan && ahead < 5) ++top5;

    float* d_row = d_logits == nullptr ? nullptr : d_logits + std::int64_t{n} * classes;
    for (int c = 0; d_row != nullptr && c < classes; ++c) {
      const double probability = std::exp(row[c] - largest) / exponentials;
      const double target = target_of(c);
      d_row[c] = static_cast<float>((probability - target) / batch);
    }
    if (distillation.teacher_logits != nullptr)
      loss_sum +=
          distillation.weight * distill_row(args, row, distillation.teacher_logits + std::int64_t{n} * classes, d_row);
  }
  StepMetrics& slot = metrics[inputs->metrics_slot];
  slot.loss_sum = loss_sum;
  slot.top1 = top1;
  slot.top5 = top5;
  slot.samples = batch;
}

}  // namespace bsq
