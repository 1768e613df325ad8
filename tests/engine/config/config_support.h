// Shared by the configuration tests: loading a text as a file, and what a bad one says.
#pragma once

#include "engine/config/config.h"
#include "kernels/base/error.h"
#include "tests/support/config.h"
#include "tests/support/files.h"
#include "tests/support/catch.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bsq {

using test::TemporaryFolder;

/// Writes a file, with the folders above it, and returns its path.
inline std::filesystem::path write_file(const TemporaryFolder& folder, const std::string& name,
                                        const std::string& text) {
  std::filesystem::create_directories((folder / name).parent_path());
  test::put_text(folder / name, text);
  return folder / name;
}

/// Loads `text` as the file c.yaml.
inline Config load_text(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const TemporaryFolder folder;
  return load_config(test::schema(), write_file(folder, "c.yaml", text), overrides);
}

/// What load_config throws for `file`, names of files without `folder`; empty if it throws nothing.
inline std::string error_of(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                            const TemporaryFolder& folder) {
  try {
    load_config(test::schema(), file, overrides);
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
  return error_of(write_file(folder, "c.yaml", text), overrides, folder);
}

}  // namespace bsq
