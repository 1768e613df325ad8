// Which passes of which convolutions have been planned: backends run no others.
#pragma once

#include "kernels/base/error.h"
#include "kernels/ops/convolution.h"

#include <map>

namespace bsq {

constexpr ConvPass kEveryPass[] = {ConvPass::forward, ConvPass::backward_data, ConvPass::backward_weight};

/// "8x32x32x16 -> 32 channels, kernel 3, stride 2, bf16".
inline std::string describe(const ConvGeometry& g) {
  return fmt::format("{}x{}x{}x{} -> {} channels, kernel {}, stride {}, {}{}", g.batch, g.height, g.width,
                     g.in_channels, g.out_channels, g.kernel, g.stride,
                     g.groups == 1 ? "" : fmt::format("{} groups, ", g.groups), name_of(g.dtype));
}

/// Throws Error(internal) unless the pass was planned.
inline void require_planned(const ConvGeometry& geometry, ConvPass pass, bool is_planned) {
  require(is_planned,
          "convolution {}: the pass {} was not planned; name it to conv2d_scratch_bytes or plan_convolutions first",
          describe(geometry), name_of(pass));
}

class PlannedPasses {
 public:
  void add(const ConvGeometry& geometry, const ConvPasses& passes) {
    ConvPasses& planned = planned_.try_emplace(geometry, ConvPasses{false, false, false}).first->second;
    planned = {planned.forward || passes.forward, planned.backward_data || passes.backward_data,
               planned.backward_weight || passes.backward_weight};
  }
  void add(const ConvGeometry& geometry, ConvPass pass) {
    add(geometry, {pass == ConvPass::forward, pass == ConvPass::backward_data, pass == ConvPass::backward_weight});
  }
  bool contains(const ConvGeometry& geometry, ConvPass pass) const {
    const auto planned = planned_.find(geometry);
    return planned != planned_.end() && planned->second.contains(pass);
  }
  /// Throws Error(internal) unless it was added.
  void check(const ConvGeometry& geometry, ConvPass pass) const {
    require_planned(geometry, pass, contains(geometry, pass));
  }

 private:
  std::map<ConvGeometry, ConvPasses> planned_;
};

}  // namespace bsq
