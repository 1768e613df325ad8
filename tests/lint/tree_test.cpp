// The rules of this folder, applied to the project.
#include "tests/lint/include_rules.h"
#include "tests/lint/source_files.h"
#include "tests/lint/text_rules.h"
#include "tests/support/catch.h"

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <set>

namespace bsq::lint {
namespace {

std::string joined(const std::vector<std::string>& faults) {
  std::string text;
  for (const std::string& fault : faults) text += fault + "\n";
  return text;
}

struct CommandResult {
  int exit_code = 0;
  std::string output;  // stdout and stderr
};

CommandResult run(const std::string& command) {
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  CommandResult result;
  std::array<char, 4096> chunk;
  while (const std::size_t size = std::fread(chunk.data(), 1, chunk.size(), pipe))
    result.output.append(chunk.data(), size);
  result.exit_code = WEXITSTATUS(::pclose(pipe));
  return result;
}

/// Other versions break lines elsewhere. Empty where there is none.
std::string clang_format_14() {
  for (const std::string name : {"clang-format-14", "clang-format"}) {
    if (run(name + " --version").output.find("version 14.") != std::string::npos) return name;
  }
  return {};
}

TEST_CASE("every include points downward and every library stays in its place") {
  int checked = 0;
  std::vector<std::string> faults;
  for (const SourceFile& file : source_files(BSQ_SOURCE_DIR)) {
    if (!is_cpp(file.path) && !file.path.ends_with(".def")) continue;
    const std::vector<std::string> found = file.path.starts_with("tests/") ? check_test_includes(file.path, file.text)
                                                                           : check_includes(file.path, file.text);
    faults.insert(faults.end(), found.begin(), found.end());
    ++checked;
  }
  INFO(joined(faults));
  CHECK(faults.empty());
  CHECK(checked > 50);  // the tree was found at all
}

TEST_CASE("every header of the product is the first include of its own source file") {
  // cmake/HeaderCheck.cmake compiles only those by themselves that have none.
  const std::vector<SourceFile> files = source_files(BSQ_SOURCE_DIR);
  std::set<std::string> headers;
  for (const SourceFile& file : files)
    if (file.path.ends_with(".h")) headers.insert(file.path.substr(0, file.path.size() - 2));
  std::vector<std::string> faults;
  int checked = 0;
  for (const SourceFile& file : files) {
    if (!file.path.ends_with(".cpp") || file.path.starts_with("tests/") || file.path.starts_with("bench/")) continue;
    if (!headers.contains(file.path.substr(0, file.path.size() - 4))) continue;
    if (!begins_with_own_header(file.path, file.text)) faults.push_back(file.path + ": its header must come first");
    ++checked;
  }
  INFO(joined(faults));
  CHECK(faults.empty());
  CHECK(checked > 50);
}

TEST_CASE("every file keeps to the rules for text") {
  std::vector<std::string> faults;
  for (const SourceFile& file : source_files(BSQ_SOURCE_DIR)) {
    const std::vector<std::string> found = check_text(file.path, file.text);
    faults.insert(faults.end(), found.begin(), found.end());
  }
  INFO(joined(faults));
  CHECK(faults.empty());
}

TEST_CASE("every C++ file is formatted as .clang-format says") {
  const std::string program = clang_format_14();
  if (program.empty()) {
    WARN("SKIPPED: clang-format 14 is not installed");
    return;
  }
  std::string command = "cd '" BSQ_SOURCE_DIR "' && " + program + " --dry-run --Werror";
  for (const SourceFile& file : source_files(BSQ_SOURCE_DIR)) {
    if (is_cpp(file.path)) command += " '" + file.path + "'";
  }
  const CommandResult result = run(command);
  INFO(result.output);
  CHECK(result.exit_code == 0);
}

}  // namespace
}  // namespace bsq::lint
