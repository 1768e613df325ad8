// What a model_trace says: the network, its start values, the images, and what is expected of each tensor.
#pragma once

#include "engine/config/config.h"
#include "engine/files/safetensors.h"
#include "engine/network/network_spec.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bsq::golden {

/// An entry of the metadata `tensors`.
struct TracedTensor {
  std::string name;
  std::vector<std::int64_t> shape;  // PyTorch's
  bool trained = false;
  double amplitude = 0;
  double offset = 0;
  std::int64_t stride = 1;
  double after1_norm = 0;
  std::string init;                 // how the published constructor starts it: normal, uniform, constant
  double init_value = 0;            // its deviation, its bound, the constant
  double grad_norm = 0;             // trained ones
  double zero_gradient_scale = -1;  // below 0: the gradient is not zero in exact arithmetic

  std::int64_t numel() const;
};

struct ModelTrace {
  const TensorFile& file;
  NetworkSpec network = {};
  std::vector<TracedTensor> tensors = {};
  int classes = 0;
  int batch = 0;
  int steps = 0;
  std::vector<float> mean = {};  // of red, green and blue
  std::vector<float> std = {};
};

/// Throws Error(checkpoint) for what is no such trace, Error(usage) for a network that there is not.
ModelTrace read_model_trace(const TensorFile& file);
/// The start values of every tensor, by PyTorch's names and in its layout.
TensorFile initial_model(const ModelTrace& trace);
/// The network of an architecture with the options of the published code.
NetworkSpec published_network(const std::string& arch, const nlohmann::json& options, const Shape& image, int classes);

/// The number that element `i` of a tensor starts from: mix(mix(fnv(name) + seed) + i).
std::uint64_t start_bits(std::string_view name, std::uint64_t seed, std::uint64_t i);

}  // namespace bsq::golden
