#include "engine/config/scheme.h"

#include "engine/base/text.h"
#include "engine/files/posix_file.h"
#include "kernels/base/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace bsq {
namespace {

constexpr const char* kHeading = "scheme";

/// What a rule of quant.layers may say and a scheme may not, and what a scheme must say.
void check_rule(const YamlEntry& entry, const LayerRule& rule, std::vector<Problem>& problems) {
  const auto report = [&](Position where, const std::string& what) {
    problems.push_back({where, fmt::format("{}: '{}' {}", kHeading, rule.pattern, what)});
  };
  const bool is_read = rule.places.size() == entry.value.entries.size() + 1;  // else that has been reported
  if (is_read && !entry.value.entries.empty() && !rule.weight_bits && !rule.stays_float && !rule.act_bits)
    report(entry.where, "says no weight_bits; a scheme says those of every layer");
  for (const YamlEntry& inner : entry.value.entries)
    if (rule.places.contains(inner.key) && (inner.key == "act_bits" || inner.key == "float"))
      report(inner.where,
             fmt::format("says {}; a scheme has widths of weights alone, this goes into quant.layers", inner.key));
}

}  // namespace

std::string read_config_text(const std::filesystem::path& file) {
  constexpr std::int64_t kMaxBytes = 1 << 20;  // a configuration has some 2 KB; more is another kind of file
  if (PosixFile::open_regular(file, ErrorKind::usage).size_bytes() > kMaxBytes)
    fail(ErrorKind::usage, "{}: too large for a configuration; expected a YAML file", file.string());
  return read_text_file(file, ErrorKind::usage);
}

Scheme read_scheme(const YamlValue& value, const PlaceText& place, std::vector<Problem>& problems) {
  Scheme scheme{read_layer_rules(value, place, problems, kHeading)};
  for (std::size_t i = 0; i < scheme.layers.rules.size(); ++i)
    check_rule(value.entries[i], scheme.layers.rules[i], problems);
  return scheme;
}

Scheme read_scheme_file(const std::filesystem::path& file, std::vector<std::string>& problems) {
  YamlDocument document = read_yaml(read_config_text(file));
  const auto place = [&](Position where) { return fmt::format("{}:{}:{}", file.string(), where.line, where.column); };
  std::vector<Problem> found = std::move(document.problems);
  Scheme scheme;
  if (document.root.kind == YamlValue::Kind::map && !document.root.entries.empty())
    scheme = read_scheme(document.root, place, found);
  else if (document.parsed)
    found.push_back({{}, "is no scheme; expected a line per layer, such as `conv1: {weight_bits: 8, fixed: true}`"});
  std::stable_sort(found.begin(), found.end(), [](const Problem& a, const Problem& b) { return a.where < b.where; });
  for (const Problem& problem : found) problems.push_back(fmt::format("{}: {}", place(problem.where), problem.what));
  return scheme;
}

Scheme read_scheme_file(const std::filesystem::path& file) {
  std::vector<std::string> problems;
  Scheme scheme = read_scheme_file(file, problems);
  if (problems.empty()) return scheme;
  throw Error(ErrorKind::usage, problems_message(problems));
}

}  // namespace bsq
