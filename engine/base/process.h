// Programs of others, run to their end.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bsq {

/// What run_program returns if a program could not be started, or was ended by a signal.
constexpr int kCouldNotStart = 127;

/// Files that a program reads and writes.
struct Streams {
  std::filesystem::path input = "/dev/null";
  std::filesystem::path output = "/dev/null";
  std::filesystem::path errors = "/dev/null";
};

/// The program of this name in PATH, or the file, if the name has a slash; nothing if there is none that may be
/// started.
std::optional<std::filesystem::path> find_program(const std::string& name);
/// Runs a program (the whole path, then its arguments) to its end in a folder; returns its exit code. Throws
/// Error(internal) if no process can be started.
int run_program(const std::vector<std::string>& words, const std::filesystem::path& folder, const Streams& streams);

}  // namespace bsq
