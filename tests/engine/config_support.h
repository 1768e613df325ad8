// Shared by the configuration tests: a folder of its own for each test case, and what a bad configuration says.
#pragma once

#include "engine/config.h"
#include "kernels/error.h"

#include <catch2/catch.hpp>

#include <stdlib.h>  // mkdtemp

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace bsq {

/// A fresh folder, removed with all it holds when the test case ends.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "bsq_config_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed: " + pattern);
    path_ = pattern;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  /// Writes a file, with the folders above it, and returns its path.
  std::filesystem::path write(const std::string& name, const std::string& text) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
    return file;
  }

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Loads `text` as the file c.yaml.
inline Config load_text(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const TemporaryFolder folder;
  return load_config(folder.write("c.yaml", text), overrides);
}

/// What load_config throws for `file`, names of files without `folder`; empty if it throws nothing.
inline std::string error_of(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                            const TemporaryFolder& folder) {
  try {
    load_config(file, overrides);
  } catch (const Error& error) {
    REQUIRE(error.kind() == ErrorKind::usage);
    std::string message = error.what();
    const std::string prefix = folder.path().string() + "/";
    for (std::size_t at; (at = message.find(prefix)) != std::string::npos;) message.erase(at, prefix.size());
    return message;
  }
  return "";
}

inline std::string error_of_text(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const TemporaryFolder folder;
  return error_of(folder.write("c.yaml", text), overrides, folder);
}

}  // namespace bsq
