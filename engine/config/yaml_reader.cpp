// The walk over yaml-cpp's nodes, and the readers of scalars. Facts about yaml-cpp 0.7 this file lives with: of two
// equal keys the first wins silently (iteration still shows both); `<<` is an ordinary key; marks are 0-based; an alias
// is the anchor's node itself, so a node can contain itself.
#include "engine/config/yaml_reader.h"

#include "kernels/base/error.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <map>
#include <sstream>
#include <type_traits>

namespace bsq {
namespace {

// A configuration has two levels and a hundred keys; these stop aliases that nest or multiply without end.
constexpr int kMaxDepth = 16;
constexpr int kMaxNodes = 10'000;

Position position_of(const YAML::Mark& mark) {
  return mark.is_null() ? Position{} : Position{mark.line + 1, mark.column + 1};
}

/// Where the documents of a text start; what is in them passes by.
class DocumentStarts final : public YAML::EventHandler {
 public:
  std::vector<YAML::Mark> starts;

  void OnDocumentStart(const YAML::Mark& mark) override { starts.push_back(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

/// The starts of the first two documents, or of the only one. YAML::LoadAll would go on for ever before a comma, which
/// the parser takes for the start of one empty document after the other.
std::vector<YAML::Mark> document_starts(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentStarts found;
  while (found.starts.size() < 2 && parser.HandleNextDocument(found)) {
  }
  return found.starts;
}

class Walker {
 public:
  explicit Walker(std::vector<Problem>& problems) : problems_(problems) {}

  YamlValue walk(const YAML::Node& node, const std::string& path, int depth) {
    if (depth > kMaxDepth || ++num_nodes_ > kMaxNodes) {
      throw YAML::Exception(node.Mark(), "nested too deeply, or an alias inside its own anchor");
    }
    YamlValue value;
    if (node.IsScalar()) {
      value.kind = YamlValue::Kind::scalar;
      value.text = node.Scalar();
      value.quoted = node.Tag() == "!";
    } else if (node.IsSequence()) {
      value.kind = YamlValue::Kind::list;
      for (const YAML::Node& item : node) value.items.push_back(walk(item, path, depth + 1));
    } else if (node.IsMap()) {
      value.kind = YamlValue::Kind::map;
      walk_entries(node, path, depth, value);
    }
    return value;
  }

 private:
  void walk_entries(const YAML::Node& node, const std::string& path, int depth, YamlValue& value) {
    std::map<std::string, Position> first_seen;
    for (const auto& pair : node) {
      const Position where = position_of(pair.first.Mark());
      if (!pair.first.IsScalar()) {
        problems_.push_back({where, "a key must be a word"});
        continue;
      }
      const std::string key = pair.first.Scalar();
      const std::string name = path.empty() ? key : path + "." + key;
      if (key == "<<") {
        problems_.push_back({where, "merge key '<<' is not supported; inherit a file with _base_, or repeat the keys"});
        continue;
      }
      const auto [first, is_new] = first_seen.emplace(key, where);
      if (!is_new) {
        problems_.push_back({where, fmt::format("duplicate key '{}' (first at line {})", name, first->second.line)});
        continue;
      }
      value.entries.push_back({key, where, walk(pair.second, name, depth + 1)});
    }
  }

  std::vector<Problem>& problems_;
  int num_nodes_ = 0;
};

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorKind::usage, why);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

/// Refuses `010` and its like: 8 in YAML 1.1, 10 in YAML 1.2.
void refuse_leading_zero(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (text.size() < 2 || text[0] != '0' || !is_digit(text[1])) return;
  const std::string_view decimal = text.substr(std::min(text.find_first_not_of('0'), text.size() - 1));
  unsigned long long octal = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), octal, 8);
  const bool is_octal = error == std::errc{} && end == text.data() + text.size() && octal > 7;
  refuse(fmt::format("leading zero is ambiguous, write {}{}", decimal, is_octal ? fmt::format(" or {}", octal) : ""));
}

/// The text of the scalar. Refuses a value that is no scalar, or a quoted one, with the message `expected`.
const std::string& plain_text(const YamlValue& value, const std::string& expected) {
  if (value.kind != YamlValue::Kind::scalar) refuse(expected);
  if (value.quoted) refuse(value.text.empty() ? expected : expected + ", without quotes");
  return value.text;
}

}  // namespace

YamlDocument read_yaml(const std::string& text) {
  YamlDocument document;
  if (text.find('\0') != std::string::npos) {
    document.problems.push_back({{}, "not a text file; expected YAML in UTF-8"});
    return document;
  }
  try {
    const std::vector<YAML::Mark> starts = document_starts(text);
    if (starts.size() > 1) {
      if (starts[1].pos == starts[0].pos) throw YAML::Exception(starts[0], "nothing begins with this character");
      document.problems.push_back({position_of(starts[1]), "a second YAML document; expected one"});
    }
    if (!starts.empty()) document.root = Walker(document.problems).walk(YAML::Load(text), "", 0);
    document.parsed = true;
  } catch (const YAML::Exception& error) {
    document.problems.push_back({position_of(error.mark), "not valid YAML: " + error.msg});
  }
  return document;
}

std::string show(const YamlValue& value) {
  constexpr std::size_t kMaxLength = 60;
  std::string text;
  switch (value.kind) {
    case YamlValue::Kind::nothing: return "nothing";
    case YamlValue::Kind::map: return "{...}";
    case YamlValue::Kind::scalar: text = value.quoted ? '"' + value.text + '"' : value.text; break;
    case YamlValue::Kind::list:
      for (const YamlValue& item : value.items) {
        if (text.size() <= kMaxLength) text += (text.empty() ? "" : ", ") + show(item);
      }
      text = "[" + text + "]";
  }
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';  // a message is one line
  }
  return text.size() <= kMaxLength ? text : text.substr(0, kMaxLength - 3) + "...";
}

bool read_bool(const YamlValue& value) {
  const std::string& text = plain_text(value, "use true or false");
  if (text != "true" && text != "false") refuse("use true or false");
  return text == "true";
}

template <typename T>
T read_integer(const YamlValue& value) {
  std::string_view text = plain_text(value, "expected an integer");
  const bool is_signed = text.starts_with('-') || text.starts_with('+');
  if (!is_all_digits(text.substr(is_signed ? 1 : 0))) refuse("expected an integer");
  refuse_leading_zero(text);
  if (std::is_unsigned_v<T> && text.starts_with('-')) refuse("must not be negative");
  if (text.starts_with('+')) text.remove_prefix(1);
  T result{};
  if (std::from_chars(text.data(), text.data() + text.size(), result).ec != std::errc{}) {
    refuse(fmt::format("too large for {} bits", 8 * sizeof(T)));
  }
  return result;
}

template int read_integer<int>(const YamlValue&);
template std::uint64_t read_integer<std::uint64_t>(const YamlValue&);

double read_number(const YamlValue& value) {
  std::string_view text = plain_text(value, "expected a number");
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  const std::string_view magnitude = text.substr(text.starts_with('-') ? 1 : 0);
  if (is_all_digits(magnitude)) refuse_leading_zero(magnitude);
  // YAML spells infinity `.inf` and not-a-number `.nan`; from_chars knows `inf` and `nan`.
  if (magnitude.size() > 1 && magnitude[0] == '.' && std::isalpha(static_cast<unsigned char>(magnitude[1]))) {
    refuse("must be finite");
  }
  double result = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result);
  if (error == std::errc::invalid_argument || end != text.data() + text.size()) refuse("expected a number");
  if (error == std::errc::result_out_of_range) refuse("out of the range of a double");
  if (!std::isfinite(result)) refuse("must be finite");
  return result;
}

std::string read_text(const YamlValue& value) {
  if (value.kind != YamlValue::Kind::scalar) refuse("expected text; put it in quotes, or write \"\" for none");
  return value.text;
}

const std::vector<YamlValue>& read_list(const YamlValue& value, const std::string& example) {
  if (value.kind != YamlValue::Kind::list) refuse("expected a list, such as " + example);
  return value.items;
}

}  // namespace bsq
