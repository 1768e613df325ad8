// The project's text files, as the rules of this folder see them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace bsq::lint {

struct SourceFile {
  std::string path;  // relative to the root, with forward slashes
  std::string text;
};

/// Every file of the project that somebody wrote by hand, by path; neither build trees nor data.
std::vector<SourceFile> source_files(const std::filesystem::path& root);

/// CUDA too.
bool is_cpp(std::string_view path);

/// Without the line ends; a last line without one counts too.
std::vector<std::string> lines_of(std::string_view text);

}  // namespace bsq::lint
