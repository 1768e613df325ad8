#include "tests/lint/source_files.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <sstream>

namespace bsq::lint {
namespace {

namespace fs = std::filesystem;

constexpr std::array kFolders = {"kernels", "engine", "models", "data", "tools", "tests", "bench", "cmake", "configs"};
constexpr std::array kExtensions = {".c",  ".cpp",   ".h",  ".cu",  ".cuh",  ".def", ".py",
                                    ".sh", ".cmake", ".in", ".txt", ".yaml", ".json"};

SourceFile read(const fs::path& root, const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {file.lexically_relative(root).generic_string(), std::string(std::istreambuf_iterator<char>(stream), {})};
}

}  // namespace

std::vector<SourceFile> source_files(const fs::path& root) {
  std::vector<SourceFile> files = {read(root, root / "CMakeLists.txt"), read(root, root / "CMakePresets.json"),
                                   read(root, root / ".ci/run")};
  for (const char* folder : kFolders) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / folder)) {
      const bool wanted =
          std::find(kExtensions.begin(), kExtensions.end(), entry.path().extension()) != kExtensions.end();
      if (entry.is_regular_file() && wanted) files.push_back(read(root, entry.path()));
    }
  }
  std::sort(files.begin(), files.end(), [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

bool is_cpp(std::string_view path) {
  return path.ends_with(".cpp") || path.ends_with(".h") || path.ends_with(".cu") || path.ends_with(".cuh");
}

std::vector<std::string> lines_of(std::string_view text) {
  std::istringstream stream{std::string(text)};
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace bsq::lint
