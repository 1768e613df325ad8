// Integers of a filter as an exported network holds them: rows of 16-bit numbers, or bits that are unpacked as they are
// needed.
#pragma once

#include "engine/deployed/deployed_network.h"

#include <string>
#include <vector>

namespace bsq {

/// speed: numbers that compilers multiply without unpacking them. size: as few bits a number as the layer needs.
enum class CGoal : std::uint8_t { speed, size };

struct FilterRows {
  int rows = 0;
  int count = 0;                      // numbers of a row
  int length = 0;                     // with the zeros behind them
  int width = 0;                      // bits of a number, for CGoal::size
  std::vector<std::int16_t> numbers;  // [rows, length], for CGoal::speed
  std::vector<std::uint32_t> words;   // for CGoal::size

  std::size_t bytes() const { return numbers.size() * 2 + words.size() * 4; }
  /// What `checksum_of` in convolutions.c computes.
  std::uint32_t checksum() const;
  /// The definition of its array, and the text of its `struct filter`.
  std::string definition(const std::string& name) const;
  std::string initializer(const std::string& name) const;
};

/// Whether every channel is convolved by itself, so that the sums of all of a pixel are made together.
bool is_by_channel(const LevelConvolution& convolution, const DeployedTensor& x);

/// A row per output channel, of the columns of its window one after the other; by channel: a row per pixel of the
/// window.
FilterRows filter_rows(const LevelConvolution& convolution, const DeployedTensor& x, CGoal goal);
FilterRows filter_rows(const DeployedHead& head, CGoal goal);

constexpr std::uint32_t kFirstChecksum = 2166136261U;
constexpr std::uint32_t mixed_checksum(std::uint32_t sum, std::uint32_t value) {
  return (sum ^ value) * 16777619U;
}

}  // namespace bsq
