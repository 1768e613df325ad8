// A checkpoint on the disk: a folder of safetensors files with `state.json`, and the marker `DONE` written last.
//
// Files only: what the tensors mean is the business of engine/model. In a run they lie as
//     checkpoints/epoch_0012/   the newest ones, `keep_last` of them
//     checkpoints/last          a link to the newest; moves only after the folder is complete, so it always loads
//     checkpoints/best/
// Every function throws Error(checkpoint).
#pragma once

#include "engine/files/safetensors.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <map>
#include <string>

namespace bsq {

struct CheckpointFiles {
  std::map<std::string, TensorFile> tensors;  // by file name, such as "model.safetensors"
  nlohmann::json state;                       // doubles come back bit for bit; NaN and infinity come back as null
};

/// Writes or replaces the folder, whole or not at all; whenever a crash comes, load_checkpoint finds a complete one if
/// there was one before.
void save_checkpoint(const std::filesystem::path& folder, const CheckpointFiles& files);

CheckpointFiles load_checkpoint(const std::filesystem::path& folder);

/// Points `last` at checkpoints/<name>. Then removes what crashes have left and the older `epoch_<number>` folders,
/// except the newest `keep_last` (at least 1, counting <name> itself). Other folders stay.
void update_last(const std::filesystem::path& checkpoints, const std::string& name, int keep_last);
/// The second half of it, for a run that failed between the two.
void keep_newest(const std::filesystem::path& checkpoints, const std::string& name, int keep_last);

/// What a person may name as a checkpoint: a .safetensors file, a checkpoint folder, a run directory (its
/// checkpoints/last) or the folder of runs of one name (its latest/checkpoints/last). Returns the file or the complete
/// folder.
std::filesystem::path resolve_checkpoint(const std::filesystem::path& path);

}  // namespace bsq
