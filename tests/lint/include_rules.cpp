#include "tests/lint/include_rules.h"

#include "tests/lint/source_files.h"

#include <algorithm>
#include <regex>

namespace bsq::lint {
namespace {

bool begins_with_any(std::string_view name, const std::vector<std::string_view>& begins) {
  return std::any_of(begins.begin(), begins.end(), [&](std::string_view begin) { return name.starts_with(begin); });
}

const IncludeRule* rule_of(std::string_view path) {
  const IncludeRule* longest = nullptr;
  const auto length = [](const IncludeRule& rule) { return rule.files.size() + rule.ending.size(); };
  for (const IncludeRule& rule : include_rules()) {
    const bool matches = path.starts_with(rule.files) && path.ends_with(rule.ending);
    if (matches && (!longest || length(rule) > length(*longest))) longest = &rule;
  }
  return longest;
}

/// The C++ standard library (<vector>, <cstdint>: neither a dot nor a slash) and POSIX.
bool is_always_there(std::string_view header) {
  return header.find_first_of("./") == std::string_view::npos ||
         begins_with_any(header, {"dlfcn.h", "fcntl.h", "poll.h", "sched.h", "signal.h", "sys/", "unistd.h"});
}

}  // namespace

const std::vector<IncludeRule>& include_rules() {
  // clang-format off
  static const std::vector<IncludeRule> rules = {
    // files                 ending   project headers                                         libraries
    {"kernels/",             "",      {"kernels/"},                                           {"fmt/"}},
    {"kernels/cpu/",         "",      {"kernels/"},                                           {"fmt/", "oneapi/dnnl/", "omp.h"}},
    {"kernels/cuda/",        "",      {"kernels/"},                                           {"fmt/", "cxxabi.h", "link.h", "cuda.h", "cuda_runtime_api.h", "cublas", "cudnn", "nccl.h", "nvtx3/"}},
    {"kernels/mpi/",         "",      {"kernels/"},                                           {"fmt/", "mpi.h"}},
    {"kernels/cuda/",        ".cu",   {"kernels/types.h", "kernels/random.h", "kernels/published_rounding.h", "kernels/batch_slice.h", "kernels/cuda/"}, {}},
    {"kernels/cuda/",        ".cuh",  {"kernels/types.h", "kernels/random.h", "kernels/batch_slice.h", "kernels/cuda/"}, {}},
    {"kernels/cuda/port.h",  "",      {"kernels/cuda/"},                                      {"cuda_runtime.h", "cuda_bf16.h", "cuda_on_host.h"}},
    {"engine/",              "",      {"kernels/", "engine/"},                                {"fmt/", "nlohmann/", "spdlog/"}},
    {"engine/yaml",          "",      {"kernels/", "engine/"},                                {"fmt/", "yaml-cpp/"}},
    {"models/",              "",      {"kernels/", "engine/", "models/"},                     {"fmt/"}},
    {"data/",                "",      {"kernels/", "engine/", "data/"},                       {"fmt/", "png.h", "jpeglib.h", "jerror.h"}},
    {"tools/",               "",      {"kernels/", "engine/", "models/", "data/", "tools/"},  {"fmt/", "nlohmann/"}},
    {"tools/arguments.cpp",  "",      {"kernels/", "engine/", "tools/"},                      {"fmt/", "CLI/"}},
    {"tools/onnx/plugin/",   "",      {"kernels/", "tools/onnx/"},                            {"fmt/", "onnx/", "google/protobuf/"}},
    {"tools/charts/",        "",      {"tools/charts/"},                                      {"fmt/"}},
    {"tools/report_page",    "",      {"tools/"},                                             {"fmt/", "kainjow/"}},
  };
  // clang-format on
  return rules;
}

std::vector<std::string> check_includes(std::string_view path, std::string_view text) {
  // What a floor keeps to itself: outside kernels/ nobody sees which device does the work.
  static const std::vector<std::string_view> private_folders = {"kernels/cpu/", "kernels/cuda/", "kernels/mpi/"};
  static const std::regex include_line(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"].*)");

  std::vector<std::string> faults;
  const IncludeRule* rule = rule_of(path);
  if (!rule) return {std::string(path) + ": no rule of tests/lint/include_rules.cpp is for this folder"};
  int number = 0;
  for (const std::string& line : lines_of(text)) {
    ++number;
    std::smatch match;
    if (!std::regex_match(line, match, include_line)) continue;
    const std::string header = match[2];
    const auto fault = [&](std::string_view what) {
      faults.push_back(std::string(path) + ":" + std::to_string(number) + ": " + header + " " + std::string(what));
    };
    if (match[1] == "<") {
      if (!is_always_there(header) && !begins_with_any(header, rule->may_include_libraries))
        fault("may not be used here");
    } else if (!begins_with_any(header, rule->may_include)) {
      fault("is above this floor, beside it, or not written from the root");
    } else if (begins_with_any(header, private_folders) && !path.starts_with("kernels/")) {
      fault("is private to kernels/");
    }
  }
  return faults;
}

bool begins_with_own_header(std::string_view path, std::string_view text) {
  const std::string header = std::string(path.substr(0, path.rfind('.'))) + ".h";
  for (const std::string& line : lines_of(text))  // a macro before it may be what it leans on
    if (line.starts_with('#')) return line == "#include \"" + header + "\"";
  return false;
}

}  // namespace bsq::lint
