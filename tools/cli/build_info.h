// What this program was built from and where it runs: for --version, `bsq info`, env.json and model files.
#pragma once

#include "engine/config/config.h"
#include "kernels/backend.h"
#include "kernels/ranks/communicator.h"

#include <nlohmann/json.hpp>

#include <string>

namespace bsq {

inline constexpr const char* kVersion = BSQ_VERSION;

/// `0.1.0 (c0ffee123456)`, the commit if the build knew it.
std::string full_version();
/// `oneDNN 2.6.3, fmt 9.1.0, ...`, as found at configuration.
std::string library_versions();
/// `g++ 12.2, Release`.
std::string compiler();
/// The processor's name as the system tells it.
std::string cpu_name();
std::string host_name();

/// The entry of environment() that holds the working folder.
inline constexpr const char* kStartFolder = "folder";
/// env.json of a run.
nlohmann::ordered_json environment(const Config& config, const Backend& backend, const Communicator& ranks);

}  // namespace bsq
