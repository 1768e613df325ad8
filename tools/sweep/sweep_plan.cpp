// Combinations, their names, and sweep.json.
#include "tools/sweep/sweep_plan.h"

#include "engine/files/json.h"
#include "engine/files/atomic_file.h"
#include "kernels/base/error.h"
#include "tools/session/config_schema.h"
#include "tools/session/network_checks.h"
#include "tools/sweep/sweep_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace bsq {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kPlanFile = "sweep.json";
constexpr std::size_t kMostRuns = 10000;

/// A word of the command line and what it stands for.
struct SweepAxis {
  std::string key;
  std::vector<std::string> values;
};

/// A line of the sweep and its combinations.
struct SweepGroup {
  SweepLine line;
  std::vector<SweepAxis> axes;  // one per word

  /// At most one more than there may be.
  std::size_t runs() const {
    std::size_t count = 1;
    for (const SweepAxis& axis : axes) count = std::min(count * axis.values.size(), kMostRuns + 1);
    return count;
  }
};

std::string leaf(const std::string& key) {
  return key.substr(key.rfind('.') + 1);
}

/// Letters that a folder's name may have anywhere.
std::string name_part(const std::string& text) {
  std::string name;
  for (const char c : text) {
    const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          std::string_view(".+-").find(c) != std::string_view::npos;
    if (is_plain || (!name.empty() && name.back() != '-')) name += is_plain ? c : '-';
  }
  while (name.ends_with('-')) name.pop_back();
  return name;
}

/// Of the line and of the values that vary; the key's last part where that says which it is.
std::string run_name(const std::string& line, const std::vector<SweepAxis>& axes,
                     const std::vector<std::size_t>& chosen) {
  constexpr std::size_t kLongest = 100;
  std::string name = name_part(line);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (axes[i].values.size() < 2) continue;
    const auto same_leaf = std::count_if(axes.begin(), axes.end(), [&](const SweepAxis& other) {
      return other.values.size() > 1 && leaf(other.key) == leaf(axes[i].key);
    });
    const std::string key = same_leaf > 1 ? axes[i].key : leaf(axes[i].key);
    name += fmt::format("{}{}-{}", name.empty() ? "" : "_", name_part(key), name_part(axes[i].values[chosen[i]]));
  }
  return name.empty() ? "run" : name.substr(0, kLongest);
}

/// To the next combination; false after the last.
bool next_combination(const std::vector<SweepAxis>& axes, std::vector<std::size_t>& chosen) {
  for (std::size_t i = axes.size(); i-- > 0;) {
    if (++chosen[i] < axes[i].values.size()) return true;
    chosen[i] = 0;
  }
  return false;
}

/// The errors of all combinations, each once.
class Errors {
 public:
  /// `line`: the one of the file that the run is of.
  void add(const std::string& message, const std::string& line) {
    std::vector<std::string> lines;
    for (std::size_t begin = 0; begin <= message.size();) {
      const std::size_t end = std::min(message.find('\n', begin), message.size());
      lines.push_back(message.substr(begin, end - begin));
      begin = end + 1;
    }
    if (lines.size() > 1) lines.pop_back();  // `2 errors; nothing was written`
    for (const std::string& what : lines) {
      const std::string text = line.empty() || !what.starts_with("override ") ? what : "sweep." + line + ": " + what;
      if (std::find(lines_.begin(), lines_.end(), text) == lines_.end()) lines_.push_back(text);
    }
  }

  void throw_if_any() const {
    if (lines_.empty()) return;
    std::string message;
    for (const std::string& line : lines_) message += line + "\n";
    throw Error(ErrorKind::usage,
                message + fmt::format("{} error{}; nothing was written", lines_.size(), lines_.size() == 1 ? "" : "s"));
  }

 private:
  std::vector<std::string> lines_;
};

SweepGroup group_of(const SweepLine& line) {
  SweepGroup group{.line = line, .axes = {}};
  for (const std::string& word : line.words)
    group.axes.push_back({word.substr(0, std::min(word.find('='), word.size())), split_values(word)});
  return group;
}

void add_runs(const std::string& config_file, const SweepGroup& group, std::vector<SweepRun>& runs, Errors& errors) {
  const auto& [line, axes] = group;
  std::vector<std::size_t> chosen(axes.size());
  do {
    SweepRun run{.name = run_name(line.name, axes, chosen), .overrides = {}, .config = {}};
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const bool varies = axes[i].values.size() > 1;
      run.overrides.push_back(varies ? axes[i].key + "=" + axes[i].values[chosen[i]] : line.words[i]);
    }
    try {
      run.config = load_config(config_schema(), config_file, run.overrides, ConfigUse::sweep);
      check_network(run.config);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::usage) throw;
      errors.add(error.what(), line.name);
    }
    runs.push_back(std::move(run));
  } while (next_combination(axes, chosen));
}

void refuse_twins(const std::vector<SweepRun>& runs) {
  for (std::size_t i = 0; i < runs.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (differences(runs[i].config, runs[j].config).empty())
        fail(ErrorKind::usage, "{} and {} are the same run; give each value once", runs[j].name, runs[i].name);
}

void name_apart(std::vector<SweepRun>& runs) {
  std::set<std::string> taken = {"configs", "report"};
  for (SweepRun& run : runs) {
    const std::string name = run.name;
    for (int number = 2; !taken.insert(run.name).second; ++number) run.name = fmt::format("{}-{}", name, number);
  }
}

}  // namespace

std::vector<std::string> split_values(const std::string& word) {
  std::vector<std::string> values = split_outside_brackets(word.substr(word.find('=') + 1), ",").pieces;
  if (values.size() > 1 && std::find(values.begin(), values.end(), "") != values.end())
    fail(ErrorKind::usage, "{}: a value between the commas is missing", word);
  return values;
}

std::vector<SweepRun> plan_sweep(const std::string& config_file, const std::vector<std::string>& overrides) {
  std::vector<SweepGroup> groups;
  std::size_t count = 0;
  for (const SweepLine& line : read_sweep_lines(config_file, overrides)) {
    groups.push_back(group_of(line));
    count = std::min(count + groups.back().runs(), kMostRuns + 1);
  }
  if (count == 1)
    fail(ErrorKind::usage, "nothing varies; give a key several values, such as bsq.alpha=3e-3,5e-3 (or use bsq train)");
  if (count > kMostRuns) fail(ErrorKind::usage, "these are more than {} runs", kMostRuns);
  std::vector<SweepRun> runs;
  Errors errors;
  for (const SweepGroup& group : groups) add_runs(config_file, group, runs, errors);
  errors.throw_if_any();
  name_apart(runs);
  refuse_twins(runs);
  return runs;
}

std::string sweep_hash(const std::vector<SweepRun>& runs) {
  constexpr unsigned long kPrime = 1000003, kSixDigits = 0xffffff;
  unsigned long hash = runs.size();
  for (const SweepRun& run : runs)
    hash = (hash * kPrime + std::stoul(config_hash(run.config), nullptr, 16)) & kSixDigits;
  return fmt::format("{:06x}", hash);
}

bool is_sweep(const fs::path& folder) {
  std::error_code ignored;
  return fs::is_regular_file(folder / kPlanFile, ignored);
}

fs::path sweep_config_file(const fs::path& folder, const SweepRun& run) {
  return folder / "configs" / (run.name + ".yaml");
}

void write_sweep(const fs::path& folder, const std::vector<SweepRun>& runs, const std::string& command) {
  std::error_code code;
  fs::create_directories(folder / "configs", code);
  check_file(code, ErrorKind::usage, folder, "cannot create the folder of the sweep");
  nlohmann::ordered_json plan = {{"schema", 1},
                                 {"command", command},
                                 {"folder", fs::current_path(code).string()},
                                 {"runs", nlohmann::ordered_json::array()}};
  for (const SweepRun& run : runs) {
    write_file_atomically(sweep_config_file(folder, run), to_yaml(run.config), ErrorKind::usage);
    plan["runs"].push_back({{"name", run.name}, {"overrides", run.overrides}});
  }
  write_file_atomically(folder / kPlanFile, plan.dump(2, ' ', false, json::error_handler_t::replace) + "\n",
                        ErrorKind::usage);
}

std::vector<SweepRun> read_sweep(const fs::path& folder) {
  if (!is_sweep(folder))
    fail(ErrorKind::usage, "{}: is not the folder of a sweep (no {} in it); check the path", folder.string(),
         kPlanFile);
  std::vector<SweepRun> runs;
  const fs::path file = folder / kPlanFile;
  try {
    const json plan = parse_json(read_text_file(file, ErrorKind::checkpoint));
    for (const json& entry : plan.at("runs")) {
      SweepRun run{.name = entry.at("name"), .overrides = entry.at("overrides"), .config = {}};
      if (run.name.empty() || run.name.find('/') != std::string::npos || run.name.starts_with('.'))
        fail(ErrorKind::checkpoint, "{}: '{}' is no name of a run; the file is damaged", file.string(), run.name);
      runs.push_back(std::move(run));
    }
  } catch (const json::exception& error) {
    fail(ErrorKind::checkpoint, "{}: is no plan of a sweep ({}); the file is damaged", file.string(), error.what());
  }
  for (SweepRun& run : runs) run.config = load_config(config_schema(), sweep_config_file(folder, run));
  return runs;
}

fs::path start_folder_of_sweep(const fs::path& folder) {
  const json plan = parse_json_or_discard(read_text_file(folder / kPlanFile, ErrorKind::checkpoint));
  if (!plan.is_object() || !plan.contains("folder") || !plan["folder"].is_string()) return {};
  const fs::path start = plan["folder"].get<std::string>();
  std::error_code code;
  return fs::is_directory(start, code) && !fs::equivalent(start, ".", code) ? start : fs::path();
}

}  // namespace bsq
