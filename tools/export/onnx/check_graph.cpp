#include "tools/export/onnx/check_graph.h"

#include "engine/base/base64.h"
#include "engine/base/crc32.h"
#include "engine/base/process.h"
#include "engine/base/text.h"
#include "engine/files/json.h"
#include "engine/files/posix_file.h"
#include "engine/files/scratch_folder.h"
#include "kernels/base/error.h"
#include "tools/export/onnx/onnx_file.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace bsq {

extern const char* const kCheckGraph;

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kKey = "check";
constexpr const char* kWithLevels = "onnxruntime";  // what computes every level of files that are for it
constexpr const char* kRuntimes[] = {kWithLevels, "openvino"};
constexpr int kPackageIsMissing = 3;  // of the script
constexpr double kSameLogit = 1e-3;

/// Levels as the file has them, one byte each.
std::uint32_t checksum(const GraphTensor& levels) {
  Crc32 checksum;
  for (const float level : levels.values) {
    const auto byte = static_cast<std::uint8_t>(static_cast<int>(level));
    checksum.add({&byte, 1});
  }
  return checksum.value();
}

struct Answers {
  std::vector<float> logits;
  std::vector<std::string> others;  // tensors that have other levels
  std::size_t compared = 0;         // tensors
};

/// What the runtime says of the pictures in the file.
Answers run_in(const std::string& runtime, const fs::path& path) {
  const char* const named = std::getenv("BSQ_PYTHON");
  const std::string name = named == nullptr || *named == '\0' ? "python3" : named;
  const std::optional<fs::path> python = find_program(name);
  if (!python) fail(ErrorKind::device, "{}: no such program; BSQ_PYTHON names a Python that has {}", name, runtime);
  const ScratchFolder scratch("bsq-check");
  const fs::path output = scratch.path() / "answers", errors = scratch.path() / "errors";
  const int code =
      run_program({python->string(), "-c", kCheckGraph, fs::absolute(path).string(), runtime, output.string()},
                  scratch.path(), {.errors = errors});
  const std::string said = read_text_file(errors, ErrorKind::device);
  const std::string line = excerpt(said.substr(0, said.find('\n')), 400);
  if (code == kPackageIsMissing)
    fail(ErrorKind::device,
         "{} has no package {}; {} -m pip install onnx {}, or name a Python that has them: BSQ_PYTHON", name, line,
         name, runtime);
  if (code != 0) fail(ErrorKind::verification, "{}: {} does not run it: {}", path.string(), runtime, line);
  const Json json = Json::parse(read_text_file(output, ErrorKind::verification));
  return {.logits = json.at("logits").get<std::vector<float>>(),
          .others = json.at("others").get<std::vector<std::string>>(),
          .compared = json.at("compared").get<std::size_t>()};
}

/// [N, classes] of what the file carries.
GraphTensor expected_logits(const fs::path& path, const std::string& text) {
  try {
    const Json check = Json::parse(text);
    GraphTensor logits{{check.at("shape").at(0).get<std::int64_t>()}, check.at("logits").get<std::vector<float>>()};
    const std::int64_t count = logits.dims[0];
    if (count < 1 || logits.values.empty() || logits.numel() % count != 0) throw JsonError("logits do not fit");
    logits.dims.push_back(logits.numel() / count);
    return logits;
  } catch (const Json::exception& error) {
    fail(ErrorKind::verification, "{}: metadata '{}': {}; the file is damaged", path.string(), kKey, error.what());
  }
}

std::int64_t same_rows(const GraphTensor& expected, const GraphTensor& found) {
  const auto classes = static_cast<std::size_t>(expected.dims[1]);
  std::int64_t same = 0;
  for (std::size_t row = 0; row < expected.values.size(); row += classes) {
    bool is_same = true;
    for (std::size_t i = row; i < row + classes; ++i)
      is_same &=
          std::abs(expected.values[i] - found.values[i]) <= kSameLogit * std::max(1.0F, std::abs(expected.values[i]));
    same += is_same;
  }
  return same;
}

}  // namespace

void add_check(OnnxModel& model, const EngineRun& run, std::span<const std::uint8_t> pictures,
               const InputOptions& input) {
  Json levels = Json::object();
  for (const OnnxNode& node : model.nodes) {
    const auto found = run.guide.levels.find(node.name);
    if (found == run.guide.levels.end()) continue;
    const auto is_clip = [&](const OnnxNode& other) {
      return other.op == "Clip" && other.inputs[0] == node.outputs[0];
    };
    const auto clip = std::ranges::find_if(model.nodes, is_clip);  // cuts off what is beyond the top level
    levels[clip == model.nodes.end() ? node.outputs[0] : clip->outputs[0]] = checksum(found->second);
  }
  const Json check = {{"shape", {run.images.dims[0], run.images.dims[2], run.images.dims[3], run.images.dims[1]}},
                      {"pictures", to_base64(pictures)},
                      {"mean", input.mean},
                      {"std", input.std},
                      {"levels", levels},
                      {"logits", run.logits.values}};
  model.metadata[kKey] = check.dump();
}

std::string check_graph(const fs::path& path, const std::string& runtime) {
  const OnnxModel model = parse_onnx(read_text_file(path, ErrorKind::checkpoint));
  const auto said = model.metadata.find("runtime"), check = model.metadata.find(kKey);
  if (said == model.metadata.end() || check == model.metadata.end())
    fail(ErrorKind::usage,
         "{}: carries no pictures to be checked with; bsq export --format onnx --runtime {} makes such files",
         path.string(), kRuntimes[0]);
  const std::string where = runtime.empty() ? said->second : runtime;
  if (std::ranges::find(kRuntimes, where) == std::end(kRuntimes))
    fail(ErrorKind::usage,
         "{}: is for {}, which bsq cannot start; metadata '{}' has pictures and logits to check it with there",
         path.string(), where, kKey);
  const GraphTensor expected = expected_logits(path, check->second);
  Answers answers = run_in(where, path);
  if (answers.logits.size() != expected.values.size())
    fail(ErrorKind::verification, "{}: {} finds {} logits, not {}", path.string(), where, answers.logits.size(),
         expected.values.size());
  const GraphTensor found{expected.dims, std::move(answers.logits)};
  const LogitComparison logits = compare_logits(expected, found);
  const bool has_levels = where == kWithLevels && said->second == kWithLevels;
  if (has_levels && !answers.others.empty())
    fail(ErrorKind::verification, "{}: {} computes other levels in {} of {} tensors, {} first", path.string(), where,
         answers.others.size(), answers.compared, answers.others.front());
  if (logits.same_class < logits.images)
    fail(ErrorKind::verification, "{}: {} puts {} of {} pictures into another class", path.string(), where,
         logits.images - logits.same_class, logits.images);
  if (has_levels)
    return fmt::format(
        "{} pictures in {}: every level of {} tensors as in the arithmetic of METHOD 16, max abs logit diff {:.2g}",
        logits.images, where, answers.compared, logits.largest_difference);
  return fmt::format("{} pictures in {}: all in the same class, {} with the same logits (within {})", logits.images,
                     where, same_rows(expected, found), kSameLogit);
}

}  // namespace bsq
