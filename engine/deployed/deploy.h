// Makes the deployed form of a trained network (METHOD 16): norms folded into convolutions, every tensor on a grid of
// at most 256 levels.
#pragma once

#include "engine/deployed/deployed_network.h"
#include "engine/deployed/deployment_plan.h"
#include "engine/input/input_options.h"
#include "engine/model/stored_weights.h"
#include "engine/network/value_extremes.h"

#include <map>
#include <string>
#include <vector>

namespace bsq {

/// The least and the largest number that a tensor is to hold.
struct ValueRange {
  float low = 0;
  float high = 0;
};
using ValueRanges = std::map<std::string, ValueRange>;  // by the name of the levels

/// What a runtime's bytes are. signed_zero: INT8 of which 0 is the number 0: levels with zero 128, or 0 .. 127.
enum class ByteKind : std::uint8_t { any_zero, signed_zero };

struct Deployment {
  DeployedNetwork network;
  std::vector<std::string> rounded;  // filters that have more than 127 levels to a side and were rounded to 127
};

/// What makes numbers of the network's parameters and states, in the order of memory.
class ParameterNumbers {
 public:
  /// `plain`: the file with all that is not quantized.
  ParameterNumbers(const Network& network, const TensorFile& plain, const StoredWeights& weights);

  const ParameterSpec& spec(ParameterId id) const { return network_.parameters()[static_cast<std::size_t>(id)]; }
  std::vector<float> values(ParameterId id) const;
  /// Nothing if the parameter is on no grid.
  std::optional<Levels> levels(ParameterId id) const;
  std::vector<float> state(StateId id) const;
  /// A calibrated scale. Throws Error(usage) if it is none.
  float act_scale(StateId id) const;

 private:
  std::optional<std::size_t> slot(ParameterId id) const;

  const Network& network_;
  const TensorFile& plain_;
  const StoredWeights& weights_;
};

/// Of a norm, a bias, or a linear layer.
ChannelAffine affine_of(const Node& node, const ParameterNumbers& numbers, int channels);

/// `ranges` has one entry for each of the planned levels that need one. Throws Error(usage) if activation scales are
/// not calibrated, or a sum may leave 32 bits.
Deployment deploy(const Network& network, const DeploymentPlan& plan, const ParameterNumbers& numbers,
                  const ValueRanges& ranges, const InputOptions& input, ByteKind bytes = ByteKind::any_zero);

/// The grid of a picture and its bytes as levels: exact if mean and std are those of a grid of 256 levels, such as
/// 128/255 and 64/255 for all colors, else rounded.
LevelGrid picture_grid(const InputOptions& input, ByteKind bytes = ByteKind::any_zero);
/// What the network was trained on: the byte of a pixel, normalised.
float pixel_number(const InputOptions& input, std::size_t color, int byte);
PixelLevels pixel_levels(const InputOptions& input, const LevelGrid& grid);
/// Whether (byte - zero) unit is the number that the network was trained on, for all bytes and colors but for the last
/// bits of float32.
bool is_exact(const InputOptions& input, const LevelGrid& grid);
/// Of all colors, how many bytes lie halfway between two levels, so that the last bit of float32 chooses: all of them
/// where a mean of 0.5 is between two bytes.
int count_halfway_bytes(const InputOptions& input, const LevelGrid& grid);

/// Levels that reach from low to high, and over 0: 256 of them, or what signed bytes have.
LevelGrid grid_of(const ValueRange& range, ByteKind bytes = ByteKind::any_zero);

}  // namespace bsq
