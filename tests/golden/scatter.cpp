#include "tests/golden/scatter.h"

#include <algorithm>
#include <cmath>

namespace bsq::golden {

TrainingSetup disturbed(const TrainingSetup& setup, int run) {
  constexpr float last_digits = 1e-6F;
  TrainingSetup result = setup;
  for (HostTensor& tensor : result.initial.tensors) {
    if (tensor.name != "bn1.weight") continue;
    const auto values = tensor.values<float>();
    std::vector<float> moved(values.begin(), values.end());
    for (float& value : moved) value *= 1 + last_digits * static_cast<float>(run);
    tensor = HostTensor::from<float>(tensor.name, tensor.shape, moved);
  }
  return result;
}

double Scatter::deviations(double value, double floor) const {
  const auto count = static_cast<double>(values_.size());
  double mean = 0;
  for (const double each : values_) mean += each / count;
  double variance = 0;
  for (const double each : values_) variance += (each - mean) * (each - mean) / (count - 1);
  return std::abs(value - mean) / std::max(std::sqrt(variance * (1 + 1 / count)), floor);
}

}  // namespace bsq::golden
