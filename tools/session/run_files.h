// Finding runs by what a person types: a run directory, or the folder of runs of one name (its newest); and the files
// that their configurations name.
#pragma once

#include "engine/config/config.h"

#include <filesystem>
#include <optional>
#include <span>
#include <string>

namespace bsq {

bool is_run(const std::filesystem::path& folder);
/// The run directory. Throws Error(usage) if there is none.
std::filesystem::path find_run(const std::filesystem::path& path);
/// The run that a checkpoint folder or a file in it belongs to.
std::optional<std::filesystem::path> run_of_checkpoint(const std::filesystem::path& checkpoint);

/// The folder in which a run was started, by its env.json; nothing if it is not known, or is here no more.
std::optional<std::filesystem::path> start_folder_of(const std::filesystem::path& run);

/// Whether a word of `overrides` sets the key.
bool is_overridden(std::span<const std::string> overrides, const std::string& key);

/// A run's configuration for whoever opens the files that it names: relative paths lead from the folder in which the
/// run was started, if that is known and they lead to something there, or to a folder that is made where there is none.
/// Those in `overrides` (`key=value`) stay as they are: a person has written them here.
Config with_paths_of(const std::filesystem::path& run, Config config, std::span<const std::string> overrides);

}  // namespace bsq
