// What a sweep is made of: the runs of every combination of the values given, each with a name, its overrides and its
// configuration (of every line of the file's key `sweep`, if it has one); and how that is kept in the sweep's folder:
//
//     sweep.json           {schema, command, folder (in which it was started), runs: [{name, overrides}]}
//     configs/NAME.yaml    resolved, so that what changes elsewhere does not change a sweep that goes on
//     NAME/                the run
//     report/              the comparison
#pragma once

#include "engine/config/config.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bsq {

struct SweepRun {
  std::string name;                    // `alpha-0.01_seed-2`: made of the values that vary
  std::vector<std::string> overrides;  // as they were typed, with one value each
  Config config;
};

/// `a,b` of a word `key=a,b`; commas in brackets, braces and quotes do not count. Throws Error(usage) for an empty one.
std::vector<std::string> split_values(const std::string& word);

/// Every combination of each group of runs, the last key changing fastest. Throws one Error(usage) with all that is
/// wrong in any of them; also if nothing varies, or if two of them are the same.
std::vector<SweepRun> plan_sweep(const std::string& config_file, const std::vector<std::string>& overrides);

/// Six hexadecimal digits over all configurations.
std::string sweep_hash(const std::vector<SweepRun>& runs);

bool is_sweep(const std::filesystem::path& folder);
/// Both throw Error(usage).
void write_sweep(const std::filesystem::path& folder, const std::vector<SweepRun>& runs, const std::string& command);
std::vector<SweepRun> read_sweep(const std::filesystem::path& folder);

/// The folder in which the sweep was started and in which its runs find their files; empty if that is the working
/// folder, is not known, or is here no more.
std::filesystem::path start_folder_of_sweep(const std::filesystem::path& folder);

std::filesystem::path sweep_config_file(const std::filesystem::path& folder, const SweepRun& run);

}  // namespace bsq
