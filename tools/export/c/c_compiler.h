// The C compiler of this machine, and what it makes of an exported network.
#pragma once

#include "tools/export/c/c_model.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bsq {

/// `cc` of PATH; nothing if there is none.
std::optional<std::filesystem::path> find_c_compiler();

/// What a compiled network has answered.
struct CAnswers {
  std::vector<float> logits;  // [pictures, classes]
  std::string fault;          // why there are none: what the compiler says, or what the check has found; empty: nothing
  bool is_startable = true;   // whether programs may be started in the folder; else there is neither
};

/// Compiles NAME.c, which lies in `folder` with its header, and a program around it, checks it, and runs it on pictures
/// [H, W, C]. Leaves files in the folder. Throws Error(internal) if no process can be started.
CAnswers run_c_model(const std::filesystem::path& compiler, const std::filesystem::path& folder,
                     const std::string& name, const CModel& model, std::span<const std::uint8_t> pictures,
                     const std::vector<std::string>& flags = {"-O2"});

}  // namespace bsq
