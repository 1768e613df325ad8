// YAML as a tree with positions, stricter than yaml-cpp: duplicate keys, merge keys and second documents are problems.
//
// yaml-cpp parses the text; this file keeps what it would forget. A value's type is decided by whoever asks for it
// (read_integer, read_bool, ...), never guessed from its spelling, so `010`, `yes` and `1e-4x` are refused with a
// reason. Positions are those of keys, 1-based: an anchor's value is reported where it is used.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bsq {

/// A place in a file, 1-based.
struct Position {
  int line = 1;
  int column = 1;
  auto operator<=>(const Position&) const = default;
};

/// Something wrong in a text, and where.
struct Problem {
  Position where;
  std::string what;
};

struct YamlEntry;

struct YamlValue {
  enum class Kind { nothing, scalar, list, map };
  Kind kind = Kind::nothing;
  std::string text;                // scalar: as written, without quotes
  bool quoted = false;             // scalar: written in quotes or as a block of text, so it is no number
  std::vector<YamlValue> items;    // list
  std::vector<YamlEntry> entries;  // map, in the order written, without repeated keys
};

struct YamlEntry {
  std::string key;
  Position where;  // of the key
  YamlValue value;
};

struct YamlDocument {
  YamlValue root;
  std::vector<Problem> problems;  // in no particular order
  bool parsed = false;            // false: broken YAML, `root` is empty
};

/// Parses one YAML document; an empty text gives Kind::nothing. Problems are returned, not thrown.
YamlDocument read_yaml(const std::string& text);

/// The value in one short line, for messages: `0.1`, `"0.1"`, `[1, 2]`, `{...}`.
std::string show(const YamlValue& value);

// Readers of one value. Each throws Error(usage) with the reason alone, such as `expected a number`; the caller adds
// the key and its position.

/// `true` or `false`, nothing else.
bool read_bool(const YamlValue& value);

/// Decimal digits with an optional sign, for T = int or std::uint64_t.
template <typename T>
T read_integer(const YamlValue& value);

/// A finite decimal number such as `3`, `0.1`, `1e-4`.
double read_number(const YamlValue& value);

/// Any scalar, taken as text.
std::string read_text(const YamlValue& value);

/// The items of a list; `example` shows in the reason how one is written.
const std::vector<YamlValue>& read_list(const YamlValue& value, const std::string& example);

}  // namespace bsq
