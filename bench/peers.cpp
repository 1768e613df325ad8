#include "bench/peers.h"

#include "kernels/base/error.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace bsq {
extern const char* const kPytorchBsq;
extern const char* const kPytorchGpu;
extern const char* const kPytorchOps;
}  // namespace bsq

namespace bsq::bench {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// As one word for a shell.
std::string quoted(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

void write(const fs::path& path, const std::string& text) {
  std::ofstream out(path);
  out << text;
  if (!out.flush()) fail(ErrorKind::usage, "{}: cannot be written; is the disk full?", path.string());
}

/// The JSON objects among the lines; PyTorch prints warnings there too.
std::vector<ordered_json> objects(const std::vector<std::string>& lines) {
  std::vector<ordered_json> all;
  for (const std::string& line : lines) {
    ordered_json object = ordered_json::parse(line, nullptr, false);
    if (object.is_object()) all.push_back(std::move(object));
  }
  return all;
}

}  // namespace

Peers::Peers(const std::string& python, bool gpu, const Options& options)
    : python_(python.empty() ? "python3" : python), gpu_(gpu), options_(options) {
  write(folder_.path() / "pytorch_bsq.py", kPytorchBsq);
  write(folder_.path() / "pytorch_gpu.py", kPytorchGpu);
  write(folder_.path() / "pytorch_ops.py", kPytorchOps);
  const std::vector<std::string> lines = run("-c 'import torch; print(\"torch\", torch.__version__)' 2>/dev/null");
  if (lines.empty() || !lines.back().starts_with("torch "))
    fail(ErrorKind::usage, "--peers: {} imports no torch; name one that does with --python PROGRAM", python_);
  version_ = lines.back();
}

std::vector<std::string> Peers::run(const std::string& arguments) const {
  const std::string command = quoted(python_) + " -B " + arguments;
  std::fflush(nullptr);
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) fail(ErrorKind::usage, "--peers: {} cannot be started", python_);
  std::string text;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) text += static_cast<char>(c);
  ::pclose(pipe);
  std::vector<std::string> lines;
  std::istringstream all(text);
  for (std::string line; std::getline(all, line);) lines.push_back(line);
  return lines;
}

std::map<std::string, double> Peers::operators(const std::vector<Row>& rows) const {
  ordered_json wanted = ordered_json::array();
  for (const Row& row : rows) {
    if (row.peer.is_null()) continue;
    ordered_json entry = {{"name", row.name()}, {"operation", row.operation}, {"type", row.type}};
    entry.update(row.peer);
    wanted.push_back(std::move(entry));
  }
  std::map<std::string, double> seconds;
  if (wanted.empty()) return seconds;
  write(folder_.path() / "rows.json", wanted.dump());
  for (const ordered_json& line : objects(run(fmt::format(
           "{} {} --device {} --threads {} --seconds {}", quoted(folder_.path() / "pytorch_ops.py"),
           quoted(folder_.path() / "rows.json"), gpu_ ? "cuda" : "cpu", options_.threads, options_.seconds))))
    if (line.contains("median_s")) seconds[line.at("name")] = line.at("median_s");
  return seconds;
}

std::map<std::string, double> Peers::steps(const std::vector<StepRow>& rows) const {
  std::map<std::string, double> seconds;
  for (const StepRow& row : rows) {
    if (row.mode != "float" && row.mode != "bsq") continue;  // the modes of the scripts
    std::string arguments =
        fmt::format("--depth {} --bits {} --act-bits {} ", options_.depth, options_.weight_bits, options_.act_bits);
    if (gpu_)
      arguments =
          fmt::format("{} {} --variants {}-graph --batches {} --precisions {}",
                      quoted(folder_.path() / "pytorch_gpu.py"), arguments, row.mode, options_.batch, row.result.type);
    else
      arguments = fmt::format("{} {} --mode {} --batch {} --precision {} --layout nhwc --steps {}{}",
                              quoted(folder_.path() / "pytorch_bsq.py"), arguments, row.mode, options_.batch,
                              row.result.type, options_.seconds > 0 ? 7 : 2,
                              options_.threads > 0 ? fmt::format(" --threads {}", options_.threads) : "");
    for (const ordered_json& line : objects(run(arguments))) {
      if (line.contains("median_s")) seconds[row.result.name()] = line.at("median_s");
      if (line.contains("ms_per_step")) seconds[row.result.name()] = line.at("ms_per_step").get<double>() * 1e-3;
    }
  }
  return seconds;
}

}  // namespace bsq::bench
