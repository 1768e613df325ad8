#include "tools/verify/run_proofs.h"

#include "engine/files/json.h"
#include "engine/files/posix_file.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>
#include <string_view>

namespace bsq {
namespace {

namespace fs = std::filesystem;

constexpr int kMostEpochsOfStage = 100'000'000;

/// What a clock or the memory of a machine says, and what only names the line.
constexpr std::array<std::string_view, 9> kNotRepeated = {
    "images_per_second", "seconds", "peak_resident_mib", "planned_bytes", "t", "schema", "event", "stage", "epoch"};

bool is_repeated(const std::string& name) {
  return std::ranges::find(kNotRepeated, name) == kNotRepeated.end();
}

std::vector<std::string> lines_in(const fs::path& file) {
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return {};
  const std::string text = read_text_file(file, ErrorKind::checkpoint);
  std::istringstream stream(text.substr(0, text.rfind('\n') + 1));
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> cells_in(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream stream(line);
  for (std::string cell; std::getline(stream, cell, ',');) cells.push_back(cell);
  return cells;
}

template <typename T>
T count_in(const LogFields& fields, const char* name) {
  const auto found = fields.find(name);
  T value = -1;
  if (found != fields.end()) std::from_chars(found->second.data(), found->second.data() + found->second.size(), value);
  if (value < 0) throw JsonError(fmt::format("it has no {}", name));
  return value;
}

EpochProof epoch_in(const std::string& line, const std::vector<std::string>& header) {
  const std::vector<std::string> cells = cells_in(line);
  LogFields fields;
  for (std::size_t i = 0; i < std::min(cells.size(), header.size()); ++i) fields[header[i]] = cells[i];
  EpochProof epoch{.stage = fields["stage"],
                   .epoch = count_in<int>(fields, "epoch"),
                   .steps = count_in<std::int64_t>(fields, "step"),
                   .cells = {}};
  std::erase_if(fields, [](const auto& field) { return !is_repeated(field.first); });
  epoch.cells = std::move(fields);
  return epoch;
}

void read_event(const std::string& line, RunProofs& proofs) {
  const nlohmann::json event = parse_json(line);
  const std::string name = event.at("event");
  if (name == "state")
    proofs.states[{event.at("stage"), json_count(event.at("epoch"), kMostEpochsOfStage)}] = event.at("state_hash");
  if (name != "stage_end") return;
  LogFields& end = proofs.ends[event.at("stage")];
  for (const auto& [key, value] : event.items())
    if (is_repeated(key)) end[key] = value.is_string() ? value.get<std::string>() : value.dump();
}

/// Of two lists of the same numbers.
std::string difference_of(const LogFields& logged, const LogFields& repeated) {
  for (const auto& [name, value] : repeated) {
    const auto found = logged.find(name);
    if (found != logged.end() && found->second != value)
      return fmt::format("{} is {} in the log, {} repeated", name, found->second, value);
  }
  return {};
}

std::string difference_of(const std::string& logged, const std::string& repeated) {
  if (logged.empty() || repeated.empty() || logged == repeated) return {};
  return fmt::format("the hash of its state is {} in the log, {} repeated", logged, repeated);
}

const EpochProof* find_epoch(const RunProofs& proofs, const std::string& stage, int epoch) {
  const auto found = std::ranges::find_if(
      proofs.epochs, [&](const EpochProof& other) { return other.stage == stage && other.epoch == epoch; });
  return found == proofs.epochs.end() ? nullptr : &*found;
}

}  // namespace

std::string RunPlace::text() const {
  if (!is_end) return fmt::format("epoch {} of {}", epoch, stage);
  return epoch > 0 ? fmt::format("the end of {}, after epoch {}", stage, epoch) : fmt::format("the end of {}", stage);
}

std::string RunProofs::state_after(const std::string& stage, int epoch) const {
  const auto found = states.find({stage, epoch});
  return found == states.end() ? "" : found->second;
}

std::string RunProofs::at_end(const std::string& stage, const std::string& name) const {
  const auto end = ends.find(stage);
  if (end == ends.end()) return {};
  const auto found = end->second.find(name);
  return found == end->second.end() ? "" : found->second;
}

LogLines read_log_lines(const fs::path& run) {
  return {.metrics = lines_in(run / "metrics.jsonl"), .csv = lines_in(run / "metrics.csv"), .precision = {}};
}

RunProofs proofs_of(const LogLines& lines, const std::string& where) {
  RunProofs proofs;
  const auto read_all = [&](const std::vector<std::string>& from, const char* file, const auto& read) {
    for (std::size_t i = 0; i < from.size(); ++i) {
      try {
        read(i);
      } catch (const nlohmann::json::exception& error) {
        fail(ErrorKind::checkpoint, "{}/{}:{}: the log is damaged ({})", where, file, i + 1, error.what());
      }
    }
  };
  read_all(lines.metrics, "metrics.jsonl", [&](std::size_t i) { read_event(lines.metrics[i], proofs); });
  read_all(lines.csv, "metrics.csv", [&](std::size_t i) {
    if (i > 0) proofs.epochs.push_back(epoch_in(lines.csv[i], cells_in(lines.csv.front())));
  });
  return proofs;
}

std::optional<ProofDifference> first_difference(const RunProofs& logged, const RunProofs& repeated) {
  // What the repetition has begun with: a state without a row.
  for (const auto& [place, hash] : repeated.states) {
    if (find_epoch(repeated, place.first, place.second) != nullptr) continue;
    const std::string what = difference_of(logged.state_after(place.first, place.second), hash);
    if (!what.empty()) return ProofDifference{{place.first, place.second}, what};
  }
  const auto difference_at_end = [&](const std::string& stage, int epochs) -> std::optional<ProofDifference> {
    const auto ours = logged.ends.find(stage), theirs = repeated.ends.find(stage);
    if (ours == logged.ends.end() || theirs == repeated.ends.end()) return std::nullopt;
    const std::string what = difference_of(ours->second, theirs->second);
    if (what.empty()) return std::nullopt;
    return ProofDifference{{stage, epochs, true}, what};
  };
  for (std::size_t i = 0; i < repeated.epochs.size(); ++i) {
    const EpochProof& epoch = repeated.epochs[i];
    const EpochProof* ours = find_epoch(logged, epoch.stage, epoch.epoch);
    std::string what = ours == nullptr ? "" : difference_of(ours->cells, epoch.cells);
    if (what.empty())
      what =
          difference_of(logged.state_after(epoch.stage, epoch.epoch), repeated.state_after(epoch.stage, epoch.epoch));
    if (!what.empty()) return ProofDifference{{epoch.stage, epoch.epoch}, what};
    const bool is_last = i + 1 == repeated.epochs.size() || repeated.epochs[i + 1].stage != epoch.stage;
    if (!is_last) continue;
    if (auto difference = difference_at_end(epoch.stage, epoch.epoch)) return difference;
  }
  for (const auto& [stage, end] : repeated.ends)  // of stages without epochs
    if (auto difference = difference_at_end(stage, 0)) return difference;
  return std::nullopt;
}

}  // namespace bsq
