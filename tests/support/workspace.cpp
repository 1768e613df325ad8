// Folders, files, and the comparison of runs.
#include "tests/support/workspace.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

namespace bsq::test {
namespace {

using nlohmann::json;

/// A place in memory if there is one: the program syncs every file, which a busy disk makes slow.
fs::path place_for_files() {
  const char* const wish = std::getenv("TMPDIR");
  const char* const memory = "/dev/shm";
  if (wish == nullptr && ::access(memory, W_OK | X_OK) == 0) return memory;
  return fs::temp_directory_path();
}

void without_times(json& value) {
  if (value.is_object())
    for (const char* key : {"t", "seconds", "train_seconds", "stage_seconds", "seconds_per_step", "images_per_second",
                            "peak_resident_mib", "logs", "run", "fork"})
      value.erase(key);
  if (value.is_structured())
    for (json& element : value) without_times(element);
}

std::string without_times(const fs::path& file) {
  const std::string text = text_of(file);
  if (file.extension() == ".json") {
    json value = json::parse(text);
    without_times(value);
    return value.dump(1);
  }
  if (file.filename() == "precision.jsonl" || file.filename() == "history.csv") return text;
  std::string result;
  for (const std::string& line : lines_of(text)) {
    if (file.extension() == ".jsonl") {
      json value = json::parse(line);
      without_times(value);
      result += value.dump() + "\n";
    } else {  // images_per_second,seconds stand last
      std::size_t end = line.rfind(',');
      REQUIRE(end != std::string::npos);
      end = line.rfind(',', end - 1);
      REQUIRE(end != std::string::npos);
      result += line.substr(0, end) + "\n";
    }
  }
  return result;
}

/// What a run has to show at its end, by name: text for a person, bytes of models.
std::map<std::string, std::string> content_of(const fs::path& run) {
  std::map<std::string, std::string> content;
  for (const char* file :
       {"metrics.jsonl", "metrics.csv", "precision.jsonl", "status.json", "report/summary.json", "report/history.csv"})
    if (fs::exists(run / file)) content[file] = without_times(run / file);
  for (const char* file : {"config.yaml", "report/layers.csv", "report/planes.csv"})
    if (fs::exists(run / file)) content[file] = text_of(run / file);
  for (const auto& entry : fs::recursive_directory_iterator(run / "checkpoints")) {
    const std::string name = fs::relative(entry.path(), run).string();
    if (entry.is_symlink())
      content[name] = fs::read_symlink(entry.path()).string();
    else if (entry.path().extension() == ".json")
      content[name] = without_times(entry.path());
    else if (entry.path().filename() == "DONE")
      content[name] = "";  // sizes of files, the state's among them
    else if (entry.is_regular_file())
      content[name] = text_of(entry.path());
  }
  return content;
}

}  // namespace

const char* const kTinyConfig =
    "name: tiny\n"
    "threads: 1\n"
    "model: {depth: 8, width: 2}\n"
    "data: {kind: synthetic, synthetic_train: 48, synthetic_test: 20, batch_size: 16, crop_padding: 1}\n"
    "pretrain: {epochs: 2, milestones: [1]}\n"
    "bsq: {epochs: 3, milestones: [], requant_interval: 1, lr: 0.5, alpha: 2}\n"
    "finetune: {epochs: 2, milestones: []}\n";

Workspace::Workspace() {
  std::string name = (place_for_files() / "bsq-cli-XXXXXX").string();
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  path_ = fs::canonical(name);
  fs::permissions(path_, fs::perms(0755));  // for tests as another user
  put_text(path_ / "tiny.yaml", kTinyConfig);
}

Workspace::~Workspace() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

Outcome Workspace::must(const Words& words) const {
  Outcome outcome = run(words);
  INFO(describe(words, outcome));
  REQUIRE(outcome.exit_code == 0);
  return outcome;
}

Outcome Workspace::train(const std::string& run_dir, const Words& more) const {
  Words words = {"train", "tiny.yaml", "--run-dir", run_dir};
  words.insert(words.end(), more.begin(), more.end());
  return must(words);
}

std::vector<std::string> Workspace::files(const fs::path& inside) const {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(path_ / inside))
    names.push_back(fs::relative(entry.path(), path_ / inside).string());
  std::sort(names.begin(), names.end());
  return names;
}

void check_errors(const Workspace& here, const Words& words, int exit_code, const std::vector<std::string>& lines) {
  const Outcome outcome = here.run(words);
  INFO(describe(words, outcome));
  CHECK(outcome.exit_code == exit_code);
  CHECK(outcome.out.empty());
  std::string expected;
  for (const std::string& line : lines) expected += "error: " + line + "\n";
  CHECK(outcome.err == expected);
}

void check_error(const Workspace& here, const Words& words, int exit_code, const std::vector<std::string>& parts) {
  const Outcome outcome = here.run(words);
  INFO(describe(words, outcome));
  CHECK(outcome.exit_code == exit_code);
  CHECK(outcome.out.empty());
  const std::vector<std::string> lines = lines_of(outcome.err);
  REQUIRE_FALSE(lines.empty());
  CHECK(lines.back().starts_with("error: "));
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) CHECK_FALSE(lines[i].starts_with("error: "));
  for (const std::string& part : parts) CHECK_THAT(lines.back(), Catch::Contains(part));
}

std::string text_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  INFO(file);
  REQUIRE(stream.is_open());
  return {std::istreambuf_iterator<char>(stream), {}};
}

void put_text(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream stream(file, std::ios::binary);
  stream << text;
  stream.close();
  REQUIRE(stream.good());
}

void edit_text(const fs::path& file, const std::string& from, const std::string& to) {
  std::string text = text_of(file);
  INFO(file << ": " << from);
  REQUIRE(text.find(from) != std::string::npos);
  put_text(file, text.replace(text.find(from), from.size(), to));
}

nlohmann::json json_of(const fs::path& file) {
  return json::parse(text_of(file));
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<json> hashes_of(const fs::path& run) {
  std::vector<json> hashes;
  for (const std::string& line : lines_of(text_of(run / "metrics.jsonl"))) {
    const json event = json::parse(line);
    for (const char* key : {"state_hash", "model_hash"})
      if (event.contains(key)) hashes.push_back(event.at(key));
  }
  return hashes;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string status_of(const fs::path& run_dir) {
  const json status = json_of(run_dir / "status.json");
  return status.at("state").get<std::string>() + " " + status.at("exit_code").dump();
}

void check_same_run(const fs::path& expected, const fs::path& found) {
  const std::map<std::string, std::string> left = content_of(expected), right = content_of(found);
  std::vector<std::string> left_names, right_names;
  for (const auto& [name, content] : left) left_names.push_back(name);
  for (const auto& [name, content] : right) right_names.push_back(name);
  CHECK(left_names == right_names);
  for (const auto& [name, content] : left) {
    if (!right.contains(name)) continue;
    INFO(name);
    if (fs::path(name).extension() == ".safetensors")
      CHECK((content == right.at(name)));  // in parentheses: no bytes on the screen
    else
      CHECK(content == right.at(name));
  }
}

bool has_leftovers(const fs::path& run_dir) {
  for (const auto& entry : fs::recursive_directory_iterator(run_dir))
    if (contains(entry.path().filename().string(), ".tmp-")) return true;
  return false;
}

}  // namespace bsq::test
