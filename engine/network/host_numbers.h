// Numbers of a network that runs, on the host: what tensors hold, and what norms and biases make of them.
#pragma once

#include "engine/network/network.h"

#include <span>
#include <vector>

namespace bsq {

/// What a norm or a bias does to each channel: a x + c. A convolution that leaves its bias to it has not added that.
struct ChannelAffine {
  std::vector<double> a;
  std::vector<double> c;
};

/// [C] each: a = gamma / sqrt(variance + epsilon), c = beta - a (mean - input_bias); input_bias may be empty.
ChannelAffine affine_of_norm(std::span<const float> gamma, std::span<const float> beta, std::span<const float> mean,
                             std::span<const float> variance, std::span<const float> input_bias, double epsilon);
/// a = 1; `bias` [C], or empty.
ChannelAffine affine_of_bias(std::size_t channels, std::span<const float> bias);
/// That of a node, which is a norm_act or a bias_act; a norm takes its running statistics. Waits for the device.
ChannelAffine affine_of_node(Backend& backend, const Network& network, int node, const ParameterMemory& parameters);

/// The product of both units; waits for the device.
double unit_value(Backend& backend, const TensorUnit& unit);
/// The numbers as they are stored, dense, without their unit; waits for the device.
std::vector<float> stored_numbers(Backend& backend, const TensorView& view);

}  // namespace bsq
