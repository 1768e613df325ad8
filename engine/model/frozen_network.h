// A network that runs and is never trained: float parameters and statistics, without gradients and momentum.
#pragma once

#include "engine/files/safetensors.h"
#include "engine/network/network.h"

namespace bsq {

class FrozenNetwork {
 public:
  /// `file`: float weights and statistics under PyTorch's names; what it may lack has its start value. `dtype`: the
  /// type of activations and filters. Throws Error(checkpoint) if a tensor is missing or has another shape.
  FrozenNetwork(DeviceMemory& memory, const std::string& whose, Network network, DType dtype, const TensorFile& file);
  FrozenNetwork(const FrozenNetwork&) = delete;
  FrozenNetwork& operator=(const FrozenNetwork&) = delete;

  const Network& network() const { return network_; }
  /// Without gradients: nothing but inference may run with them.
  const ParameterMemory& parameters() const { return parameters_; }
  std::int64_t numbers() const { return layout_.parameters; }

 private:
  void load_parameters(DeviceMemory& memory, const std::string& whose, const TensorFile& file);
  void load_states(DeviceMemory& memory, const std::string& whose, const TensorFile& file);

  Network network_;
  ArenaLayout layout_;  // of all parameters
  Buffer values_;
  Buffer rounded_;  // bf16 copies of filters, at the same offsets; empty if none are read
  Buffer states_;
  ParameterMemory parameters_;
};

}  // namespace bsq
