// The key `sweep` of a configuration file: groups of runs, a line each, for what no product of values can say.
//
//     sweep:
//       every: seed=1,2
//       bsq: stages=[pretrain,bsq,finetune] bsq.budget_bits=4,3
//       lsq: stages=[pretrain,lsq] quant.weight_bits=3,2
//
// The words of a line are those that `bsq sweep` takes behind the file. Lines with a value for a key are stronger than
// `every`, and the command line is stronger than both.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace bsq {

struct SweepLine {
  std::string name;                // what its runs' names begin with; empty: the command line alone makes the sweep
  std::vector<std::string> words;  // `key=value,value`, each key once, those of `every` and of the command line as well
};

struct Pieces {
  std::vector<std::string> pieces;  // one more than there are separators
  bool is_open = false;             // a bracket, a brace or a quote is open at the end
};

/// Cuts a text at separators that are not within brackets, braces or quotes.
Pieces split_outside_brackets(const std::string& text, std::string_view separators);

/// The groups of a file, which may have none: then the command line is the only one. Throws Error(usage) with every
/// line that is none.
std::vector<SweepLine> read_sweep_lines(const std::filesystem::path& file,
                                        const std::vector<std::string>& command_line);

}  // namespace bsq
