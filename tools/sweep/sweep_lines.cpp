#include "tools/sweep/sweep_lines.h"

#include "engine/base/text.h"
#include "engine/config/scheme.h"
#include "engine/config/yaml_reader.h"
#include "kernels/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace bsq {
namespace {

constexpr const char* kSweep = "sweep";
constexpr const char* kEvery = "every";

std::string key_of(const std::string& word) {
  return word.substr(word.starts_with("--") ? 2 : 0, word.find('=') - (word.starts_with("--") ? 2 : 0));
}

/// `words`, each in the place of the word for its key that is there already; the last one for a key counts.
void put_over(std::vector<std::string>& below, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    const auto same = std::ranges::find(below, key_of(word), key_of);
    if (same == below.end())
      below.push_back(word);
    else
      *same = word;
  }
}

}  // namespace

Pieces split_outside_brackets(const std::string& text, std::string_view separators) {
  Pieces result{{""}, false};
  int depth = 0;
  char quote = 0;
  for (const char c : text) {
    if (quote != 0)
      quote = c == quote ? '\0' : quote;
    else if (c == '"' || c == '\'')
      quote = c;
    else if (c == '[' || c == '{')
      ++depth;
    else if (c == ']' || c == '}')
      --depth;
    if (depth <= 0 && quote == 0 && separators.find(c) != std::string_view::npos)
      result.pieces.emplace_back();
    else
      result.pieces.back() += c;
  }
  result.is_open = depth > 0 || quote != 0;
  return result;
}

std::vector<SweepLine> read_sweep_lines(const std::filesystem::path& file,
                                        const std::vector<std::string>& command_line) {
  const std::vector<SweepLine> only_command_line = {{"", command_line}};
  const YamlDocument document = read_yaml(read_config_text(file));
  const auto found = std::find_if(document.root.entries.begin(), document.root.entries.end(),
                                  [](const YamlEntry& entry) { return entry.key == kSweep; });
  if (!document.parsed || found == document.root.entries.end()) return only_command_line;

  std::vector<std::string> problems, every;
  const auto report = [&](Position where, const std::string& what) {
    problems.push_back(fmt::format("{}:{}:{}: {}", file.string(), where.line, where.column, what));
  };
  std::vector<SweepLine> lines;
  if (found->value.kind != YamlValue::Kind::map)
    report(found->where, "sweep: expected lines such as `bsq: stages=[pretrain,bsq] bsq.budget_bits=4,3` below it");
  for (const YamlEntry& entry : found->value.entries) {
    if (entry.value.kind != YamlValue::Kind::scalar) {
      report(entry.where,
             fmt::format("sweep.{} = {}; expected key=value words, as behind bsq sweep", entry.key, show(entry.value)));
      continue;
    }
    Pieces found_words = split_outside_brackets(entry.value.text, " \t\r\n");
    if (found_words.is_open) {
      report(entry.where, fmt::format("sweep.{}: a bracket or a quote is open to the end; close it, or put the whole "
                                      "word in quotes",
                                      entry.key));
      continue;
    }
    std::vector<std::string>& words = found_words.pieces;
    std::erase(words, "");
    for (const std::string& word : words)
      if (word.find('=') == std::string::npos || word.starts_with('='))
        report(entry.where, fmt::format("sweep.{}: '{}'; expected key=value", entry.key, word));
    if (entry.key == kEvery)
      every = words;
    else
      lines.push_back({entry.key, words});
  }
  if (problems.empty() && lines.empty())
    report(found->where, "sweep: has no runs; add a line, such as `bsq: seed=1,2`");
  if (!problems.empty()) throw Error(ErrorKind::usage, problems_message(problems));

  for (SweepLine& line : lines) {
    std::vector<std::string> words = every;
    put_over(words, line.words);
    put_over(words, command_line);
    line.words = std::move(words);
  }
  return lines;
}

}  // namespace bsq
