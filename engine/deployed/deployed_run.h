// Runs a deployed network on the host, in integers alone up to the last levels: the definition of METHOD 16 as a
// program. What comes out depends neither on threads nor on instructions.
#pragma once

#include "engine/deployed/deployed_network.h"
#include "engine/deployed/level_convolution.h"

#include <cstdint>
#include <span>
#include <vector>

namespace bsq {

/// By tensor of the network: all levels of one picture, [H, W, C]; none of a term that is not rounded.
using PictureLevels = std::vector<std::vector<std::uint8_t>>;

/// integers: METHOD 16. fused: biases are float32, and terms_alone() are added as convolutions make them, which is what
/// runtimes do that join an addition with its convolution. fused_first: the same, of the first term alone.
enum class Arithmetic : std::uint8_t { integers, fused, fused_first };
/// The tensors that are not rounded.
std::vector<bool> unrounded_tensors(const DeployedNetwork& network, Arithmetic arithmetic);

/// A network made ready to be run, many times and by several threads at once. The network must outlive it.
class DeployedProgram {
 public:
  explicit DeployedProgram(const DeployedNetwork& network, Arithmetic arithmetic = Arithmetic::integers);

  /// pictures: N images [H, W, 3] of bytes, of the network's size. Returns the logits, [N, classes].
  std::vector<float> run(std::span<const std::uint8_t> pictures, int threads) const;
  /// Every level of one picture, and its logits.
  PictureLevels trace(std::span<const std::uint8_t> picture, std::span<float> logits) const;

 private:
  PictureLevels run_one(std::span<const std::uint8_t> picture, std::span<float> logits, bool keeps_all) const;
  void run_node(std::size_t i, PictureLevels& levels, std::vector<std::vector<float>>& numbers) const;

  const DeployedNetwork& network_;
  bool is_fused_;
  std::vector<std::size_t> last_reader_;                         // by tensor
  std::vector<bool> is_number_;                                  // terms that are not rounded
  std::vector<std::optional<PlannedConvolution>> convolutions_;  // by node
};

/// The same of a network that is run once.
std::vector<float> run_deployed(const DeployedNetwork& network, std::span<const std::uint8_t> pictures, int threads,
                                Arithmetic arithmetic = Arithmetic::integers);
PictureLevels trace_deployed(const DeployedNetwork& network, std::span<const std::uint8_t> picture,
                             std::span<float> logits, Arithmetic arithmetic = Arithmetic::integers);

}  // namespace bsq
