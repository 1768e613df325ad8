#include "engine/methods/csq/mask_budget.h"

#include "engine/model/bit_budget.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace bsq {
namespace {

/// In bits per weight: beyond what sums are rounded by, so that two masks are not turned around for ever.
constexpr double kLeastGain = 1e-9;

int bits_of(const TensorMasks& tensor) {
  return std::max(span_of(tensor.masks, tensor.fixed).bits, 1);
}

void turn(float& mask) {
  mask = mask == 0 ? std::numeric_limits<float>::min() : -mask;
}

/// A mask that may be turned around, and what the average is afterwards.
struct Candidate {
  std::size_t tensor = 0;
  int plane = 0;
  float distance = 0;  // of the mask from 0
};

/// The planes at the ends of a tensor's span: those to switch off, or those beside them to switch on.
std::vector<int> planes_at_ends(const TensorMasks& tensor, bool to_switch_off) {
  const auto [first, bits] = span_of(tensor.masks, tensor.fixed);
  if (tensor.fixed || bits == 0) return {};
  const int end = first + bits;
  if (to_switch_off) return bits == 1 ? std::vector<int>{} : std::vector<int>{first, end - 1};
  std::vector<int> beside;
  if (first > 0) beside.push_back(first - 1);
  if (end < static_cast<int>(tensor.masks.size())) beside.push_back(end);
  return beside;
}

std::optional<Candidate> nearest_to_zero(const std::vector<TensorMasks>& tensors, double target, bool to_switch_off) {
  const double now = average_bits(tensors);
  std::optional<Candidate> best;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    for (const int plane : planes_at_ends(tensors[i], to_switch_off)) {
      TensorMasks turned = tensors[i];
      float& mask = turned.masks.at(static_cast<std::size_t>(plane));
      const Candidate candidate{i, plane, std::abs(mask)};
      turn(mask);
      const double then = now + tensors[i].share * (bits_of(turned) - bits_of(tensors[i]));
      if (budget_distance(then, target) > budget_distance(now, target) - kLeastGain) continue;
      if (!best || candidate.distance < best->distance) best = candidate;
    }
  }
  return best;
}

}  // namespace

MaskSpan span_of(std::span<const float> masks, bool fixed, bool is_soft) {
  const auto is_selected = [&](int plane) { return fixed || selects(masks[static_cast<std::size_t>(plane)], is_soft); };
  int first = 0, end = static_cast<int>(masks.size());
  while (first < end && !is_selected(first)) ++first;
  while (end > first && !is_selected(end - 1)) --end;
  return {first, end - first};
}

double average_bits(const std::vector<TensorMasks>& tensors) {
  double sum = 0;
  for (const TensorMasks& tensor : tensors) sum += tensor.share * bits_of(tensor);
  return sum;
}

SwitchedMasks settle_masks(std::vector<TensorMasks>& tensors, double target) {
  SwitchedMasks switched;
  for (;;) {
    const bool is_above = average_bits(tensors) > target;
    const std::optional<Candidate> next = nearest_to_zero(tensors, target, is_above);
    if (!next) return switched;
    turn(tensors[next->tensor].masks.at(static_cast<std::size_t>(next->plane)));
    ++(is_above ? switched.off : switched.on);
  }
}

}  // namespace bsq
