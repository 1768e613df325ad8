// How a device runs what was planned on it, for people and for files: two runs with the same engines can have the same
// bits, two with different ones need not.
#pragma once

#include "engine/run/console.h"
#include "kernels/backend.h"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace bsq {

/// "convolution 128x32x32x16 -> 16 channels, kernel 3, stride 1, bf16: forward by cuDNN 40 (heuristics; TENSOR_CORE;
/// 1.5 MiB of workspace)".
std::string engine_text(const EngineNote& note);
/// All that is known, every number and word under a name of its own.
nlohmann::ordered_json to_json(const std::vector<EngineNote>& engines);

/// Tells a console what a backend has to say, each thing once: its notes as warnings, its engines if it is verbose.
class EngineTeller {
 public:
  /// Whether there were new ones among the engines.
  bool tell(const Backend& backend, Console& console);

 private:
  std::size_t notes_told_ = 0;
  std::size_t engines_told_ = 0;
};

}  // namespace bsq
