// What c_model() has to say of a network, for the parts of it.
#pragma once

#include "engine/deployed/deployed_network.h"
#include "tools/export/c/c_model.h"
#include "tools/export/c/memory_plan.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bsq {

/// Numbers of each kind in a workspace, at least 1.
struct CScratch {
  std::size_t windows = 1;  // 16-bit numbers
  std::size_t rows = 1;     // likewise
  std::size_t sums = 1;     // 32-bit numbers
  bool has_additions = false;

  std::size_t alignment() const;
  std::size_t bytes() const;
};

struct CSource {
  const DeployedNetwork& network;
  const CModelOptions& options;
  std::string prefix;
  MemoryPlan memory;
  CScratch scratch;
  bool reads_bytes = false;  // the bytes of a picture are its levels
};

/// Rows of a filter that are unpacked at once, as convolutions.c has it.
constexpr int kRowsAtOnce = 8;
/// Pictures that the check runs.
constexpr int kCheckedPictures = 3;

/// The header.
std::string c_header(const CSource& source);

/// A picture as `made_up` in operations.c makes it: [H, W, C].
std::vector<std::uint8_t> made_up_picture(int picture, const DeployedTensor& image);
/// By picture: checksums of all levels that a node writes, and of the logits.
std::vector<std::vector<std::uint32_t>> expected_checksums(const DeployedNetwork& network);

}  // namespace bsq
