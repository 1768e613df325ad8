// Finding runs by what a person types: a run directory, or the folder of runs of one name (its newest).
#pragma once

#include <filesystem>
#include <optional>

namespace bsq {

bool is_run(const std::filesystem::path& folder);
/// The run directory. Throws Error(usage) if there is none.
std::filesystem::path find_run(const std::filesystem::path& path);
/// The run that a checkpoint folder or a file in it belongs to.
std::optional<std::filesystem::path> run_of_checkpoint(const std::filesystem::path& checkpoint);

}  // namespace bsq
