// A Python with packages of other makers: BSQ_ONNXRUNTIME_PYTHON, or build/peers/bin/python.
#pragma once

#include "tests/support/catch.h"

#include <fmt/ranges.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace bsq::test {

/// Empty where there is none that has all of these.
inline std::string python_with(const std::vector<std::string>& packages) {
  const char* const named = std::getenv("BSQ_ONNXRUNTIME_PYTHON");
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
  const std::filesystem::path python =
      named != nullptr ? std::filesystem::path(named) : program.parent_path().parent_path() / "peers/bin/python";
  const std::string check = fmt::format("'{}' -c 'import {}' 2>/dev/null", python.string(), fmt::join(packages, ", "));
  return std::filesystem::exists(python) && std::system(check.c_str()) == 0 ? python.string() : "";
}

}  // namespace bsq::test
