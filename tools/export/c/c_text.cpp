#include "tools/export/c/c_text.h"

#include <fmt/format.h>

#include <cctype>
#include <cmath>

namespace bsq {
namespace {

constexpr std::size_t kMostColumns = 120;
constexpr int kLeastInt = -2147483647 - 1;

template <typename Number, typename Text>
std::string array(std::string_view type, std::string_view name, std::span<const Number> numbers, Text text_of) {
  std::string text = fmt::format("static const {} {}[{}] = {{\n", type, name, numbers.size());
  std::string line = "   ";
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const std::string number = text_of(numbers[i]) + (i + 1 < numbers.size() ? "," : "};");
    if (line.size() + 1 + number.size() > kMostColumns) {
      text += line + "\n";
      line = "   ";
    }
    line += " " + number;
  }
  return text + line + "\n";
}

bool is_letter_or_digit(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9');
}

/// The least int has no literal of its own.
std::string integer_text(int number) {
  return number == kLeastInt ? "(-2147483647 - 1)" : fmt::format("{}", number);
}

}  // namespace

std::string c_identifier(std::string_view text) {
  std::string name;
  for (const char letter : text) {
    if (is_letter_or_digit(letter))
      name += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    else if (!name.empty() && name.back() != '_')
      name += '_';
  }
  while (!name.empty() && name.back() == '_') name.pop_back();
  if (name.empty()) return "model";
  return name.front() >= '0' && name.front() <= '9' ? "model_" + name : name;
}

std::string upper_case(std::string_view text) {
  std::string upper;
  for (const char letter : text) upper += static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  return upper;
}

std::string c_comment(std::string_view text) {
  std::string comment;
  for (const char letter : text) {
    const bool is_special =
        letter == '*' || letter == '?' || letter == '\\' || static_cast<unsigned char>(letter) < ' ';
    comment += is_special ? '_' : letter;
  }
  return comment;
}

std::string c_string(std::string_view text) {
  std::string quoted = "\"";
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (letter == '"' || letter == '\\' || letter == '?')  // ??/ would be a backslash
      quoted += fmt::format("\\{}", letter);
    else
      quoted += byte >= ' ' && byte < 127 ? std::string(1, letter) : fmt::format("\\{:03o}", byte);
  }
  return quoted + "\"";
}

std::string c_float(float number) {
  return fmt::format("{:a}f", number);
}

std::string c_array(std::string_view name, std::span<const std::int16_t> numbers) {
  return array("int16_t", name, numbers, [](std::int16_t number) { return integer_text(number); });
}

std::string c_array(std::string_view name, std::span<const std::int32_t> numbers) {
  return array("int32_t", name, numbers, [](std::int32_t number) { return integer_text(number); });
}

std::string c_array(std::string_view name, std::span<const std::uint8_t> numbers) {
  return array("uint8_t", name, numbers, [](std::uint8_t number) { return integer_text(number); });
}

std::string c_array(std::string_view name, std::span<const std::uint32_t> words) {
  return array("uint32_t", name, words, [](std::uint32_t word) { return fmt::format("0x{:08x}", word); });
}

std::string c_array(std::string_view name, std::span<const float> numbers) {
  return array("float", name, numbers, [](float number) { return c_float(number); });
}

}  // namespace bsq
