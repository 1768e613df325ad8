#include "tests/lint/include_rules.h"

#include "tests/lint/source_files.h"

#include <algorithm>
#include <regex>

namespace bsq::lint {
namespace {

bool begins_with_any(std::string_view name, const std::vector<std::string_view>& begins) {
  return std::any_of(begins.begin(), begins.end(), [&](std::string_view begin) { return name.starts_with(begin); });
}

/// "a/b/" for "a/b/c.h".
std::string_view folder_of(std::string_view path) {
  return path.substr(0, path.rfind('/') + 1);
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

/// Whether an entry of a rule names this header: "a/b.h" itself, "a/" all in that room, "a/*" what lies in it directly.
bool names(std::string_view entry, std::string_view header) {
  if (entry.ends_with("/*")) return folder_of(header) == entry.substr(0, entry.size() - 1);
  return entry.ends_with('/') ? header.starts_with(entry) : header == entry;
}

/// What a floor keeps to itself: outside kernels/ nobody sees which device does the work.
bool is_private_to_kernels(std::string_view header) {
  return begins_with_any(header, {"kernels/reference/", "kernels/cpu/", "kernels/cuda/", "kernels/ranks/mpi/"});
}

/// The rooms below a rule's own, directly or through others. Device code has only what its row names.
bool is_below(const IncludeRule& rule, std::string_view header) {
  return std::any_of(rule.below.begin(), rule.below.end(), [&](std::string_view entry) {
    if (names(entry, header)) return true;
    if (entry.ends_with(".h") || !rule.ending.empty()) return false;
    const IncludeRule* room = rule_of(std::string(folder_of(entry)) + "room.h");
    return room != nullptr && room != &rule && is_below(*room, header);
  });
}

/// A file includes its own folder, those inside of it, and those around it up to the room. Of the folders inside
/// kernels/ each needs a row.
bool is_of_own_room(std::string_view path, const IncludeRule& rule, std::string_view header) {
  const std::string_view own = folder_of(path), other = folder_of(header), room = folder_of(rule.files);
  if (own == other || (own.starts_with(other) && other.starts_with(room))) return true;
  return other.starts_with(own) && own != "kernels/";
}

bool may_include(std::string_view path, const IncludeRule& rule, std::string_view header) {
  if (is_of_own_room(path, rule, header)) return true;
  const bool is_named = std::ranges::find(rule.below, header) != rule.below.end();  // the header itself, by its row
  const bool sees_kernels = path.starts_with("kernels/") || path == "bench/engines.cpp" || is_named;
  if (is_private_to_kernels(header) && !sees_kernels) return false;
  return is_below(rule, header);
}

/// What a test of a room may include beside it: the oracle, and the cases that it shares with the benchmarks.
bool is_for_tests(std::string_view room, std::string_view header) {
  if (header.starts_with("tests/support/") || header.starts_with("kernels/reference/")) return true;
  if (room.starts_with("kernels/ops/") && folder_of(header) == "kernels/") return true;  // operations run on backends
  return room.starts_with("kernels/") && header.starts_with("bench/") && header.ends_with("_cases.h");
}

/// The C++ standard library (<vector>, <cstdint>: neither a dot nor a slash) and POSIX.
bool is_always_there(std::string_view header) {
  return header.find_first_of("./") == std::string_view::npos ||
         begins_with_any(header, {"dlfcn.h", "fcntl.h", "fnmatch.h", "poll.h", "sched.h", "signal.h", "stdlib.h",
                                  "sys/", "unistd.h"});
}

}  // namespace

const std::vector<IncludeRule>& include_rules() {
  // A row per room, for the files whose path begins and ends like that; the longest begin counts. Arrows are drawn
  // once, from a room to those directly below it, and hold through them: training may include what methods may.
  // clang-format off
  static const std::vector<IncludeRule> rules = {
    // files                       ending   rooms and headers below it: "a/" a room, "a/*" what lies in it directly, or a header; libraries
    {"kernels/base/",              "",      {},                                                           {"fmt/"}},
    {"kernels/",                   "",      {"kernels/base/", "kernels/ops/", "kernels/ranks/communicator.h"}, {"fmt/"}},
    {"kernels/ops/",               "",      {"kernels/types.h"},                                          {}},
    {"kernels/ranks/",             "",      {"kernels/base/"},                                            {"fmt/"}},
    {"kernels/ranks/mpi/",         "",      {"kernels/ranks/"},                                           {"fmt/", "mpi.h"}},
    {"kernels/reference/",         "",      {"kernels/*"},                                                {"fmt/"}},
    {"kernels/cpu/",               "",      {"kernels/*"},                                                {"fmt/", "oneapi/dnnl/", "omp.h"}},
    {"kernels/cpu/simd/philox_lanes.h", "", {},                                                           {"immintrin.h"}},
    {"kernels/cuda/",              "",      {"kernels/*", "kernels/cuda/ops/launchers.h"},                                             {"fmt/", "cxxabi.h", "link.h", "cuda.h", "cuda_runtime_api.h", "cublas", "cudnn", "nccl.h", "nvtx3/"}},
    {"kernels/cuda/",              ".cu",   {"kernels/types.h", "kernels/ops/", "kernels/random.h", "kernels/level_rounding.h", "kernels/published_rounding.h", "kernels/dorefa_tanh.h", "kernels/batch_slice.h", "kernels/cuda/device/", "kernels/cuda/ops/", "kernels/cuda/vendor/dense_math.h"}, {}},
    {"kernels/cuda/",              ".cuh",  {"kernels/types.h", "kernels/ops/", "kernels/random.h", "kernels/batch_slice.h", "kernels/cuda/ops/launchers.h"}, {}},
    {"kernels/cuda/device/port.h", "",      {"kernels/cuda/*"},                                           {"cuda_runtime.h", "cuda_bf16.h", "cuda_on_host.h"}},
    {"kernels/cuda_loader",        "",      {"kernels/*", "kernels/cuda/plugin.h"},                       {}},
    {"kernels/devices",            "",      {"kernels/*", "kernels/reference/", "kernels/cpu/"},          {}},

    {"engine/base/",               "",      {"kernels/base/"},                                            {"fmt/"}},
    {"engine/memory/",             "",      {"kernels/", "engine/base/"},                                 {"fmt/"}},
    {"engine/files/",              "",      {"kernels/base/", "kernels/types.h", "engine/base/"},         {"fmt/", "nlohmann/"}},
    {"engine/config/",             "",      {"kernels/base/", "engine/files/"},                           {"fmt/", "nlohmann/"}},
    {"engine/config/yaml",         "",      {"kernels/base/", "engine/config/"},                          {"fmt/", "yaml-cpp/"}},
    {"engine/network/",            "",      {"kernels/", "engine/memory/", "engine/files/"},              {"fmt/", "nlohmann/"}},
    {"engine/model/",              "",      {"engine/network/"},                                          {"fmt/", "nlohmann/"}},
    {"engine/methods/",            "",      {"engine/model/", "engine/config/"},                          {"fmt/", "nlohmann/"}},
    {"engine/deployed/",           "",      {"engine/methods/", "engine/input/"},                         {"fmt/", "nlohmann/"}},
    {"engine/deployed/library/",   "",      {"engine/deployed/"},                                         {"nlohmann/", "stddef.h", "stdint.h"}},
    {"engine/deployed/vnni_convolution.cpp", "", {},                                                      {"immintrin.h"}},
    {"engine/input/",              "",      {"kernels/", "engine/memory/"},                               {"fmt/"}},
    {"engine/ranks/",              "",      {"kernels/", "engine/files/"},                                {"fmt/"}},
    {"engine/run/",                "",      {"kernels/", "engine/files/"},                                {"fmt/", "nlohmann/"}},
    {"engine/training/",           "",      {"engine/deployed/", "engine/run/", "engine/ranks/"}, {"fmt/", "nlohmann/"}},

    {"models/",                    "",      {"engine/network/", "engine/files/", "engine/config/"},       {"fmt/", "nlohmann/"}},
    {"data/",                      "",      {"engine/input/", "engine/config/", "engine/base/", "data/image_formats/", "data/augmentations/*"}, {"fmt/"}},
    {"data/augmentations/",        "",      {"engine/input/", "engine/config/"},                          {"fmt/"}},
    {"data/image_formats/",        "",      {"data/image_formats/*"},                                     {"fmt/", "png.h", "jpeglib.h", "jerror.h", "webp/", "tiffio.h"}},

    {"tools/cli/",                 "",      {"kernels/", "engine/config/", "engine/run/"},                {"fmt/", "nlohmann/"}},
    {"tools/cli/arguments.cpp",    "",      {"engine/config/", "engine/run/", "tools/cli/"},              {"fmt/", "CLI/"}},
    {"tools/session/",             "",      {"tools/cli/", "engine/training/", "engine/deployed/", "models/", "data/"},       {"fmt/", "nlohmann/"}},
    {"tools/export/",              "",      {"tools/session/"},                                           {"fmt/", "nlohmann/"}},
    {"tools/export/c/",            "",      {"engine/deployed/", "engine/files/"},                        {"fmt/"}},
    {"tools/export/onnx/plugin/",  "",      {"kernels/base/", "tools/export/onnx/*"},                     {"fmt/", "onnx/", "google/protobuf/"}},
    {"tools/report/",              "",      {"tools/session/"},                                           {"fmt/", "nlohmann/"}},
    {"tools/report/charts/",       "",      {},                                                           {"fmt/"}},
    {"tools/report/published/",    "",      {"kernels/base/"},                                            {}},
    {"tools/report/report_page",   "",      {"tools/report/", "tools/cli/"},                              {"fmt/", "kainjow/"}},
    {"tools/pictures/",            "",      {"tools/session/", "tools/report/", "data/image_formats/png_writer.h"}, {"fmt/"}},
    {"tools/scheme/",              "",      {"tools/session/", "tools/report/"},                          {"fmt/", "nlohmann/"}},
    {"tools/verify/",              "",      {"tools/session/", "tools/report/"},                          {"fmt/", "nlohmann/"}},
    {"tools/sweep/",               "",      {"tools/session/"},                                           {"fmt/", "nlohmann/"}},
    {"tools/commands/",            "",      {"tools/export/", "tools/pictures/", "tools/report/", "tools/scheme/", "tools/sweep/", "tools/verify/"}, {"fmt/", "nlohmann/"}},
    {"tools/commands/bench.cpp",   "",      {"tools/cli/", "bench/plugin.h"},                             {"fmt/"}},
    {"tools/main.cpp",             "",      {"tools/commands/"},                                          {"fmt/", "nlohmann/"}},

    {"bench/",                     "",      {"tools/session/", "tools/report/table.h"},                   {"fmt/", "nlohmann/"}},
    {"bench/roofline_model.cpp",   "",      {"engine/network/", "kernels/cuda/device/own_geometries.h", "kernels/cuda/device/filter_cuts.h"}, {"fmt/"}},
    {"bench/roofline_fusions.cpp", "",      {"engine/network/", "kernels/cuda/device/own_geometries.h"},   {}},
    {"bench/engines.cpp",          "",      {"kernels/*", "kernels/cuda/"},                               {"fmt/", "cublas", "cudnn", "cuda_runtime_api.h"}},
  };
  // clang-format on
  return rules;
}

std::vector<std::string> check_includes(std::string_view path, std::string_view text) {
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
      if (!is_always_there(header) && !begins_with_any(header, rule->libraries)) fault("may not be used here");
    } else if (!may_include(path, *rule, header)) {
      fault("is above this room, beside it, or not written from the root");
    }
  }
  return faults;
}

std::vector<std::string> check_test_includes(std::string_view path, std::string_view text) {
  static const std::regex include_line("^\\s*#\\s*include\\s*\"([^\"]+)\".*");
  constexpr std::string_view kTests = "tests/";
  const std::string_view room = path.substr(kTests.size());
  const IncludeRule* rule = rule_of(room);
  const bool is_whole_program = room.starts_with("program/") && !room.starts_with("program/stand_ins/");
  if (!rule && !is_whole_program) return {};  // tests/support, and what runs all floors together
  std::vector<std::string> faults;
  int number = 0;
  for (const std::string& line : lines_of(text)) {
    ++number;
    std::smatch match;
    if (!std::regex_match(line, match, include_line)) continue;
    const std::string written = match[1];
    const std::string header = written.starts_with(kTests) ? written.substr(kTests.size()) : written;
    if (is_for_tests(room, written)) continue;
    if (rule ? may_include(room, *rule, header) : header.starts_with("program/")) continue;
    faults.push_back(std::string(path) + ":" + std::to_string(number) + ": " + written +
                     (rule ? " is above the room that is tested" : " is no header of tests/program or tests/support"));
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
