// Constants come from CMake (kCommit, BSQ_LIBRARIES, BSQ_COMPILER), the rest from the system.
#include "tools/cli/build_info.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <thread>

namespace bsq {

extern const char* const kCommit;  // cmake/WriteCommit.cmake

std::string full_version() {
  const std::string commit = kCommit;
  return commit.empty() ? kVersion : fmt::format("{} ({})", kVersion, commit);
}

std::string library_versions() {
  return BSQ_LIBRARIES;
}

std::string compiler() {
  return BSQ_COMPILER;
}

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

std::string working_folder() {
  std::error_code gone;
  return std::filesystem::current_path(gone).string();
}

nlohmann::ordered_json environment(const Config& config, const Backend& backend, const Communicator& ranks) {
  return {{"bsq_version", kVersion},
          {"commit", kCommit},
          {"compiler", compiler()},
          {"libraries", library_versions()},
          {"host", host_name()},
          {kStartFolder, working_folder()},
          {"cpu", cpu_name()},
          {"cores", std::thread::hardware_concurrency()},
          {"device", backend.describe()},
          {"seed", config.seed},
          {"world_size", ranks.world()},
          {"ranks", ranks.describe()}};
}

}  // namespace bsq
