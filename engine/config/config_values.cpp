// What is done with one row of the table: read its value, say in words what it allows, print its value.
#include "engine/config/config_keys.h"

#include "engine/base/suggest.h"
#include "kernels/base/error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <type_traits>

namespace bsq {
namespace {

// ---- reading --------------------------------------------------------------------------------------------------------

template <typename T>
struct IsList : std::false_type {};
template <typename T>
struct IsList<std::vector<T>> : std::true_type {};

/// `integer in 1..8`, `integers >= 1`: what a number may be, after its noun.
std::string with_range(const std::string& noun, const Allowed& allowed) {
  if (std::isfinite(allowed.maximum)) return fmt::format("{} in {}..{}", noun, allowed.minimum, allowed.maximum);
  if (std::isfinite(allowed.minimum)) return fmt::format("{} >= {}", noun, allowed.minimum);
  return noun;
}

/// `an integer in 1..8` for one value, `integers in 1..8` for many.
template <typename T>
std::string describe(const Allowed& allowed, bool many) {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (std::is_same_v<T, double>) return with_range(many ? "numbers" : "a number", allowed);
  if constexpr (std::is_integral_v<T>) return with_range(many ? "integers" : "an integer", allowed);
  if (allowed.choices.empty()) return "text";
  return fmt::format("{}{}", many ? "" : "one of ", fmt::join(allowed.choices, ", "));
}

template <typename T>
T read_one(const Allowed& allowed, const YamlValue& value) {
  const std::string out_of_range = "must be " + describe<T>(allowed, false);
  if constexpr (std::is_same_v<T, bool>) {
    return read_bool(value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    const std::string text = read_text(value);
    const bool known = allowed.choices.empty() ||
                       std::find(allowed.choices.begin(), allowed.choices.end(), text) != allowed.choices.end();
    if (!known) throw Error(ErrorKind::usage, out_of_range + did_you_mean(text, allowed.choices));
    return allowed.is_path ? with_home(text) : text;
  } else {
    T number{};
    if constexpr (std::is_same_v<T, double>) {
      number = read_number(value);
    } else {
      number = read_integer<T>(value);
    }
    const double as_double = static_cast<double>(number);
    if (as_double < allowed.minimum || as_double > allowed.maximum) throw Error(ErrorKind::usage, out_of_range);
    return number;
  }
}

LayerRules read_rules(const YamlValue& value, const PlaceText& place, std::vector<Problem>& problems) {
  if (value.kind != YamlValue::Kind::map && value.kind != YamlValue::Kind::nothing)
    throw Error(ErrorKind::usage, "expected names of layers, such as {conv1: {weight_bits: 8, fixed: true}}");
  return read_layer_rules(value, place, problems);
}

/// Written out, or the name of a file that has it; an empty name is none.
Scheme read_scheme_or_file(const YamlValue& value, const PlaceText& place, std::vector<Problem>& problems) {
  const bool is_written_out = value.kind == YamlValue::Kind::map || value.kind == YamlValue::Kind::nothing;
  if (is_written_out) return read_scheme(value, place, problems);
  if (value.kind != YamlValue::Kind::scalar) throw Error(ErrorKind::usage, "expected the name of a file");
  if (value.text.empty()) return {};
  std::vector<std::string> problems_of_file;
  Scheme scheme = read_scheme_file(with_home(value.text), problems_of_file);
  if (!problems_of_file.empty()) fail(ErrorKind::usage, "{}", fmt::join(problems_of_file, "; "));
  return scheme;
}

template <typename T>
std::vector<T> read_many(const Allowed& allowed, const YamlValue& value, const std::string& example) {
  std::vector<T> list;
  for (const YamlValue& item : read_list(value, example)) {
    try {
      list.push_back(read_one<T>(allowed, item));
    } catch (const Error& error) {
      fail(ErrorKind::usage, "element {}: {}", list.size() + 1, error.what());
    }
  }
  if (allowed.length > 0 && list.size() != allowed.length) {
    fail(ErrorKind::usage, "must be a list of {}, such as {}", allowed.length, example);
  }
  return list;
}

// ---- printing -------------------------------------------------------------------------------------------------------

/// A text as a YAML scalar that every YAML reader takes for a text.
std::string quoted_if_needed(const std::string& text) {
  const std::vector<std::string> read_otherwise = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.' || c == '/';
  };
  const bool starts_plain =
      !text.empty() && is_plain(text[0]) && !(text[0] >= '0' && text[0] <= '9') && text[0] != '-' && text[0] != '.';
  const bool is_word = std::any_of(read_otherwise.begin(), read_otherwise.end(),
                                   [&](const std::string& word) { return edit_distance(word, text) == 0; });
  if (starts_plain && !is_word && std::all_of(text.begin(), text.end(), is_plain)) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += std::string("\\") + c;
    } else if (byte < ' ' || byte == 127) {
      quoted += fmt::format("\\x{:02x}", byte);
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string one_to_text(bool value) {
  return value ? "true" : "false";
}

std::string one_to_text(const std::string& value) {
  return quoted_if_needed(value);
}

/// The shortest digits that read back as the same number; `1.0e-05`, since YAML 1.1 takes `1e-05` for a text.
std::string one_to_text(double value) {
  std::string text = fmt::format("{}", value);
  const std::size_t exponent = text.find('e');
  if (exponent != std::string::npos && text.find('.') == std::string::npos) text.insert(exponent, ".0");
  return text;
}

template <typename Integer>
std::string one_to_text(Integer value) {
  return fmt::format("{}", value);
}

std::string one_to_text(const LayerRules& value) {
  return to_text(value, quoted_if_needed);
}

std::string one_to_text(const Scheme& value) {
  return one_to_text(value.layers);
}

template <typename T>
std::string one_to_text(const std::vector<T>& values) {
  std::vector<std::string> texts;
  for (const T& value : values) texts.push_back(one_to_text(value));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

}  // namespace

std::string ConfigKey::section() const {
  const std::size_t dot = name.find('.');
  return dot == std::string::npos ? "" : name.substr(0, dot);
}

std::string ConfigKey::leaf() const {
  return name.substr(name.find('.') + 1);  // npos + 1 is 0
}

ConfigValue read_config_value(const ConfigKey& key, const YamlValue& value, const PlaceText& place,
                              std::vector<Problem>& problems) {
  return std::visit(
      [&](const auto& typed) -> ConfigValue {
        using T = std::decay_t<decltype(typed)>;
        if constexpr (IsList<T>::value) {
          return read_many<typename T::value_type>(key.allowed, value, to_text(key.standard));
        } else if constexpr (std::is_same_v<T, LayerRules>) {
          return read_rules(value, place, problems);
        } else if constexpr (std::is_same_v<T, Scheme>) {
          return read_scheme_or_file(value, place, problems);
        } else {
          return read_one<T>(key.allowed, value);
        }
      },
      key.standard);
}

std::string with_home(const std::string& path) {
  if (!path.starts_with('~')) return path;
  if (path.size() > 1 && path[1] != '/')
    fail(ErrorKind::usage,
         "~ is your home folder, followed by '/'; write another user's in full, or ./{} if it is here", path);
  const char* const home = std::getenv("HOME");
  if (home == nullptr || *home == '\0')
    fail(ErrorKind::usage, "~ is the home folder, and HOME is not set; write the path in full");
  return home + path.substr(1);
}

std::string allowed_text(const ConfigKey& key) {
  return std::visit(
      [&](const auto& typed) {
        using T = std::decay_t<decltype(typed)>;
        if constexpr (IsList<T>::value) {
          const std::string count = key.allowed.length > 0 ? fmt::format("{} ", key.allowed.length) : "";
          return fmt::format("list of {}{}", count, describe<typename T::value_type>(key.allowed, true));
        } else if constexpr (std::is_same_v<T, LayerRules>) {
          std::vector<std::string> names;
          for (const LayerKey& layer_key : layer_keys()) names.push_back(layer_key.name);
          return fmt::format("a map of names or patterns to {{{}}}", fmt::join(names, ", "));
        } else if constexpr (std::is_same_v<T, Scheme>) {
          return std::string("a file name, or a map of names or patterns to {weight_bits, max_bits, fixed}");
        } else {
          return describe<T>(key.allowed, false);
        }
      },
      key.standard);
}

std::string to_text(const ConfigValue& value) {
  return std::visit([](const auto& typed) { return one_to_text(typed); }, value);
}

}  // namespace bsq
