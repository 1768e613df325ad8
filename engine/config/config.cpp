// Loading: files (bases first) and overrides are applied to one Config key by key, in order of precedence; merging maps
// and replacing lists follows from that. Every problem is collected with its place; one Error carries them all.
#include "engine/config/config.h"

#include "engine/base/suggest.h"
#include "engine/base/text.h"
#include "engine/config/config_checks.h"
#include "engine/config/config_schema.h"
#include "engine/config/yaml_reader.h"
#include "kernels/base/error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

namespace bsq {
namespace {

namespace fs = std::filesystem;

const char* const kBaseKey = "_base_";
const char* const kSweepKey = "sweep";

bool is_section(const ConfigSchema& schema, const std::string& name) {
  const std::vector<std::string> sections = schema.sections();
  return !name.empty() && std::find(sections.begin(), sections.end(), name) != sections.end();
}

/// The keys that an unknown `name` may stand for: those of its section with a similar name, and those elsewhere that
/// have the same name or the same old flag.
std::vector<std::string> likely_keys(const ConfigSchema& schema, const std::string& name) {
  const std::size_t dot = name.find('.');
  const std::string section = dot == std::string::npos ? "" : name.substr(0, dot);
  const std::string leaf = name.substr(dot + 1);
  const bool known_section = section.empty() || is_section(schema, section);
  std::vector<std::string> near, same_leaf;
  for (const ConfigKey& key : schema.keys()) {
    const bool same_section = key.section() == section;
    if (same_section && key.old_flag == "--" + leaf) return {key.name};
    if (same_section || !known_section) near.push_back(known_section ? key.leaf() : key.name);
    if (key.leaf() == leaf || key.old_flag == "--" + leaf) same_leaf.push_back(key.name);
  }
  if (section.empty()) {
    for (const std::string& other : schema.sections()) near.push_back(other);
    near.push_back(kBaseKey);
  }
  const std::string nearest = nearest_word(known_section ? leaf : name, near);
  if (nearest.empty()) return same_leaf;
  return {known_section && !section.empty() ? section + "." + nearest : nearest};
}

std::string unknown_key(const ConfigSchema& schema, const std::string& name) {
  std::vector<std::string> likely = likely_keys(schema, name);
  if (likely.empty()) return fmt::format("unknown key '{}'; bsq train --help-keys lists all", name);
  const std::string last = likely.back();
  likely.pop_back();
  const std::string others = likely.empty() ? "" : fmt::format("'{}' or ", fmt::join(likely, "', '"));
  return fmt::format("unknown key '{}'; did you mean {}'{}'?", name, others, last);
}

class Loader {
 public:
  Loader(const ConfigSchema& schema, ConfigUse use) : schema_(schema), use_(use), config_(schema) {}

  /// Applies a file after the files it inherits. `chain`: the files that led here, this one last.
  void read_file(const std::vector<fs::path>& chain) {
    const std::string file = chain.back().string();
    if (++files_read_ > kMostFiles) {  // two that inherit the next one twice, thirty times over, are 2^30
      if (files_read_ == kMostFiles + 1)
        report(chain.front().string(),
               fmt::format("more than {} files inherited by _base_; is one inherited again and again?", kMostFiles));
      cross_checks_make_sense_ = false;
      return;
    }
    YamlDocument document;
    try {
      document = read_yaml(read_config_text(chain.back()));
    } catch (const Error& error) {
      problems_.push_back(error.what());  // names the file itself
    }
    cross_checks_make_sense_ &= document.parsed;
    std::vector<Problem> problems = std::move(document.problems);
    if (document.root.kind == YamlValue::Kind::map) {
      for (const YamlEntry& entry : document.root.entries) {
        if (entry.key == kBaseKey) read_bases(entry, chain, problems);
        if (entry.key == kSweepKey && ((use_ != ConfigUse::sweep && use_ != ConfigUse::survey) || chain.size() > 1))
          problems.push_back({entry.where, chain.size() > 1 ? "sweep: belongs in the file that is given to bsq sweep"
                                                            : "sweep: makes several runs of this file; give it to bsq "
                                                              "sweep (--dry-run lists them)"});
      }
      read_entries(document.root, "", file, problems);
    } else if (document.root.kind != YamlValue::Kind::nothing) {
      problems.push_back({{}, fmt::format("expected `key: value` lines, found {}", show(document.root))});
    }
    std::stable_sort(problems.begin(), problems.end(),
                     [](const Problem& a, const Problem& b) { return a.where < b.where; });
    for (const Problem& problem : problems) report(place(file, problem.where), problem.what);
  }

  void read_override(std::size_t number, std::string_view text) {
    const std::string where = fmt::format("override {}", number);
    if (const std::string problem = apply_override(text, where); !problem.empty()) report(where, problem);
  }

  /// The Config, if nothing was wrong. Problems that have no single place are reported at `file`.
  Config finish(const std::string& file) {
    if (cross_checks_make_sense_) report_conflicts(file);
    if (problems_.empty()) return config_;
    throw Error(ErrorKind::usage, problems_message(problems_));
  }

 private:
  static std::string place(const std::string& file, Position where) {
    return fmt::format("{}:{}:{}", file, where.line, where.column);
  }

  void report(const std::string& where, const std::string& what) {
    problems_.push_back(fmt::format("{}: {}", where, what));
  }

  void read_bases(const YamlEntry& entry, const std::vector<fs::path>& chain, std::vector<Problem>& problems) {
    const YamlValue& value = entry.value;
    const std::vector<YamlValue> names = value.kind == YamlValue::Kind::list ? value.items : std::vector{value};
    for (const YamlValue& name : names) {
      if (name.kind != YamlValue::Kind::scalar || name.text.empty()) {
        problems.push_back({entry.where, "_base_: expected a file name, or a list of them"});
        continue;
      }
      fs::path base;
      try {
        base = (chain.back().parent_path() / with_home(name.text)).lexically_normal();
      } catch (const Error& error) {
        problems.push_back({entry.where, fmt::format("_base_ = {}; {}", name.text, error.what())});
        continue;
      }
      std::vector<fs::path> longer_chain = chain;
      longer_chain.push_back(base);
      std::error_code error;
      if (!fs::exists(base, error)) {
        problems.push_back(
            {entry.where, fmt::format("_base_ '{}' not found; looked for {}", name.text, base.string())});
        cross_checks_make_sense_ = false;
      } else if (std::any_of(chain.begin(), chain.end(),
                             [&](const fs::path& file) { return fs::equivalent(file, base, error); })) {
        std::vector<std::string> files;
        for (const fs::path& file : longer_chain) files.push_back(file.string());
        problems.push_back({entry.where, fmt::format("_base_ cycle {}", fmt::join(files, " -> "))});
      } else {
        read_file(longer_chain);
      }
    }
  }

  void read_entries(const YamlValue& map, const std::string& section, const std::string& file,
                    std::vector<Problem>& problems) {
    for (const YamlEntry& entry : map.entries) {
      if (section.empty() && (entry.key == kBaseKey || entry.key == kSweepKey)) continue;
      const std::string name = section.empty() ? entry.key : section + "." + entry.key;
      std::string problem;
      if (section.empty() && is_section(schema_, entry.key)) {
        // A section whose lines are all commented out is empty, not wrong.
        if (entry.value.kind == YamlValue::Kind::map) {
          read_entries(entry.value, entry.key, file, problems);
        } else if (entry.value.kind != YamlValue::Kind::nothing) {
          problem = fmt::format("{} = {}; expected keys below it", name, show(entry.value));
        }
      } else if (section.empty() && entry.key.find('.') != std::string::npos && schema_.find(entry.key)) {
        const ConfigKey& key = *schema_.find(entry.key);
        problem = fmt::format("unknown key '{}'; write {}: below {}:", entry.key, key.leaf(), key.section());
      } else {
        problem = set(
            name, entry.value, entry.where, [&](Position where) { return place(file, where); }, problems);
      }
      if (!problem.empty()) problems.push_back({entry.where, problem});
    }
  }

  /// Sets a key; returns what is wrong with it, or nothing. Adds what is wrong within a map to `problems`.
  std::string set(const std::string& name, const YamlValue& value, Position where, const PlaceText& place_text,
                  std::vector<Problem>& problems) {
    const ConfigKey* const key = schema_.find(name);
    if (key == nullptr) return unknown_key(schema_, name);
    try {
      key->field.set(config_, read_config_value(*key, value, place_text, problems));
      set_at_[name] = place_text(where);
      return "";
    } catch (const Error& error) {
      refused_.insert(name);
      return fmt::format("{} = {}; {}", name, show(value), error.what());
    }
  }

  std::string apply_override(std::string_view text, const std::string& where) {
    if (text.starts_with('+')) {
      return fmt::format("'{}' adds a key; the keys are fixed, write {}", text, text.substr(1));
    }
    if (text.starts_with('~'))
      return fmt::format("'{}' removes a key; the keys are fixed, set its value instead", text);
    const std::size_t start = text.starts_with("--") ? 2 : 0;
    const std::size_t equals = text.find('=', start);
    if (equals == std::string_view::npos || equals == start) return fmt::format("'{}'; expected key=value", text);
    const std::string name(text.substr(start, equals - start));
    const std::string value_text(text.substr(equals + 1));
    if (name == kBaseKey) return "_base_ belongs into a file, not among the overrides";
    if (is_section(schema_, name))
      return fmt::format("'{}' is a group of keys; set one of them, as in {}.key=value", name, name);
    if (schema_.find(name) == nullptr) return unknown_key(schema_, name);

    YamlDocument document = read_yaml(value_text);
    if (!document.problems.empty()) {
      return fmt::format("{} = {}; {}", name, value_text, document.problems.front().what);
    }
    if (value_text.empty()) {  // `model.init=""` as a shell hands it over
      document.root.kind = YamlValue::Kind::scalar;
      document.root.quoted = true;
    }
    std::vector<Problem> problems;
    const std::string problem = set(
        name, document.root, {}, [&](Position) { return where; }, problems);
    for (const Problem& inner : problems) report(where, inner.what);
    return problem;
  }

  void report_conflicts(const std::string& file) {
    for (const Conflict& conflict : find_conflicts(config_)) {
      if (conflict.only_in_runs && use_ == ConfigUse::plan) continue;
      if (conflict.is_of_pixels && use_ == ConfigUse::survey) continue;
      const auto is_refused = [&](const std::string& key) { return refused_.count(key) > 0; };
      if (std::any_of(conflict.keys.begin(), conflict.keys.end(), is_refused)) continue;
      const auto is_set = [&](const std::string& key) { return set_at_.count(key) > 0; };
      const auto culprit = std::find_if(conflict.keys.begin(), conflict.keys.end(), is_set);
      report(culprit == conflict.keys.end() ? file : set_at_.at(*culprit), conflict.what);
    }
  }

  const ConfigSchema& schema_;
  const ConfigUse use_;
  Config config_;
  static constexpr int kMostFiles = 100;
  int files_read_ = 0;
  std::vector<std::string> problems_;
  std::map<std::string, std::string> set_at_;  // key -> place that set it last
  std::set<std::string> refused_;              // keys with a problem: they hold a value nobody asked for
  bool cross_checks_make_sense_ = true;        // false once a file could not be read
};

}  // namespace

Config load_config(const ConfigSchema& schema, const fs::path& file, std::span<const std::string> overrides,
                   ConfigUse use) {
  Loader loader(schema, use);
  if (!file.empty()) loader.read_file({file});
  for (std::size_t i = 0; i < overrides.size(); ++i) loader.read_override(i + 1, overrides[i]);
  return loader.finish(file.empty() ? "configuration" : file.string());
}

}  // namespace bsq
