// Runs a deployed network on a device, batch by batch, by the operations of its backend (kernels/ops/levels.h): the
// same levels and logits as DeployedProgram, bit for bit.
#pragma once

#include "engine/deployed/deployed_network.h"
#include "engine/memory/device_memory.h"

#include <cstdint>
#include <span>
#include <vector>

namespace bsq {

class DeviceProgram {
 public:
  /// Which tensors have memory of their own: only those that are still needed, or all, for traces.
  enum class Keeps : std::uint8_t { needed, all };

  /// Uploads the network, and takes memory for batches of `batch` pictures, or of half as many, a quarter, ..., if
  /// there is not enough. `network` and `backend` must outlive it. Throws Error(device) if there is not enough for one.
  DeviceProgram(const DeployedNetwork& network, Backend& backend, int batch, Keeps keeps = Keeps::needed);

  /// The most pictures of a batch.
  int batch() const { return batch_; }
  /// pictures: N images [H, W, colors] of bytes, of the network's size. Returns the logits, [N, classes].
  std::vector<float> run(std::span<const std::uint8_t> pictures);
  /// By tensor of the network, its levels [batch(), H, W, C] in the last batch. For Keeps::all.
  std::vector<std::vector<std::uint8_t>> levels() const;

 private:
  /// Where the arrays of a node lie in `constants_`, and those of the picture and of the head.
  struct Places {
    std::size_t k = 0;
    std::size_t numbers = 0;  // start of a convolution, scale of the head
    std::size_t factors = 0;  // multiplier of a convolution, offset of the head
    std::size_t tables = 0;   // [inputs, 256]
  };

  void upload_constants();
  void take_memory(int batch);
  void run_batch(int count, const std::uint8_t* pictures, float* logits);
  void enqueue_node(std::size_t i, int count);
  void enqueue_convolution(const LevelConvolution& convolution, std::size_t i, int count);
  void enqueue_concat(std::size_t i, int count);
  void enqueue_head(int count);

  const DeployedTensor& tensor(int number) const { return network_.tensors[static_cast<std::size_t>(number)]; }
  std::uint8_t* levels_of(int number) const {
    return arena_.as<std::uint8_t>() + offsets_[static_cast<std::size_t>(number)];
  }
  template <typename T>
  const T* constants(std::size_t place) const {
    return reinterpret_cast<const T*>(constants_.as<std::byte>() + place);
  }

  const DeployedNetwork& network_;
  Backend& backend_;
  Keeps keeps_;
  int batch_ = 0;
  std::vector<Places> places_;  // by node
  Places pixels_;
  Places head_;
  Buffer constants_;
  Buffer arena_;
  std::vector<std::size_t> offsets_;  // by tensor, in the arena; then the bytes of pictures, and the logits
};

}  // namespace bsq
