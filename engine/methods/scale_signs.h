// What forms with trained scales have in common: no file has a scale below zero.
#pragma once

#include <cmath>
#include <cstddef>
#include <set>
#include <vector>

namespace bsq {

/// Turns the tensors whose scale is below zero, by the form's own turn(); returns which.
template <typename Tensor>
std::set<std::size_t> turn_below_zero(std::vector<Tensor>& tensors) {
  std::set<std::size_t> turned;
  for (std::size_t slot = 0; slot < tensors.size(); ++slot) {
    if (!std::signbit(tensors[slot].scale)) continue;
    turn(tensors[slot]);
    turned.insert(slot);
  }
  return turned;
}

}  // namespace bsq
