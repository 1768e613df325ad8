#include "tools/report/charts/xml_text.h"

#include <algorithm>

namespace bsq::charts {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

/// Bytes of the character that `text` begins with; 0 if XML may not hold it.
std::size_t character_length(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return first >= 0x20 && first != 0x7F ? 1 : 0;
  const std::size_t length = first >= 0xC2 && first < 0xE0   ? 2
                             : first >= 0xE0 && first < 0xF0 ? 3
                             : first >= 0xF0 && first < 0xF5 ? 4
                                                             : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if (!is_continuation(text[i])) return 0;
  const auto second = static_cast<unsigned char>(text[1]);
  if (first == 0xC2 && second < 0xA0) return 0;                                                  // C1 controls
  if (first == 0xE0 && second < 0xA0) return 0;                                                  // longer than need be
  if (first == 0xED && second >= 0xA0) return 0;                                                 // surrogates
  if (first == 0xEF && second == 0xBF && static_cast<unsigned char>(text[2]) >= 0xBE) return 0;  // U+FFFE, U+FFFF
  if (first == 0xF0 && second < 0x90) return 0;                                                  // longer than need be
  if (first == 0xF4 && second >= 0x90) return 0;                                                 // beyond U+10FFFF
  return length;
}

double letter_width(char c) {
  if (std::string_view("iljtfrI.,:;'|!()[] ").find(c) != std::string_view::npos) return 0.36;
  if (std::string_view("mwMW%@").find(c) != std::string_view::npos) return 0.92;
  return c >= 'A' && c <= 'Z' ? 0.72 : 0.6;
}

}  // namespace

std::string clean_text(std::string_view text) {
  std::string clean;
  while (!text.empty()) {
    const bool is_white = text[0] == '\n' || text[0] == '\t';
    const std::size_t length = is_white ? 1 : character_length(text);
    clean += length > 0 ? text.substr(0, length) : kReplacement;
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return clean;
}

std::string xml_text(std::string_view text) {
  std::string escaped;
  for (const char c : clean_text(text)) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      case '\'': escaped += "&#39;"; break;
      default: escaped += c;
    }
  }
  return escaped;
}

std::size_t count_letters(std::string_view text) {
  return text.size() - static_cast<std::size_t>(std::count_if(text.begin(), text.end(), is_continuation));
}

double text_width(std::string_view text, double font_size) {
  double width = 0;
  for (const char c : text)
    if (!is_continuation(c)) width += letter_width(c);
  return width * font_size;
}

}  // namespace bsq::charts
