// The quantized layers of a model as schemes name them: a weight, and with it a bias that is quantized too.
#pragma once

#include "tools/session/open_model.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bsq {

struct SchemeLayer {
  std::string name;                // of its node: layer1.0.conv1
  std::vector<std::size_t> slots;  // of its tensors in the layout, the weight first
  std::int64_t weights = 0;        // numbers of its tensors
  std::int64_t stored = 0;         // those of tensors that are not all zeros, of which alone bits are stored
  std::int64_t odd = 0;            // of these, those whose levels are all odd: under their own width without signs
  int bits = kFloatBits;           // of its weight, 32 in float
  int bias_bits = kFloatBits;      // the same if it has no bias of its own width
  int start = 0;       // bits that a scheme of the model gives it, 1..8: its own; in float at the conversion
  int widest = 0;      // the most that make sense: its own; in float what the network allows, 1..8
  bool fixed = false;  // `start` is kept

  /// What a file needs for its weights under this width, 1..8: signs and a scale per tensor too. In bits, by the rule
  /// of BitSummary.
  std::int64_t stored_bits(int width) const;
};

/// In the order of the network.
std::vector<SchemeLayer> scheme_layers(const OpenModel& model);
/// P, the numbers of all of them.
std::int64_t weights_of(const std::vector<SchemeLayer>& layers);

/// One line of a scheme file.
struct SchemeLine {
  std::string layer;
  int bits = 0;
  bool fixed = false;
  std::string comment = {};
};

/// The text of a scheme file, with comments above and at the ends of lines.
std::string scheme_text(const std::vector<std::string>& heading, const std::vector<SchemeLine>& lines);
/// `432 weights, 3,920 stored bits`
std::string cost_text(const SchemeLayer& layer, int width);

}  // namespace bsq
