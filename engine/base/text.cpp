#include "engine/base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace bsq {
namespace {

/// How many bytes the first character of `bytes` has; 0 if they are no UTF-8.
std::size_t utf8_length(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])); };
  const std::uint32_t first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC0 || first > 0xF4 || bytes.size() < length) return 0;
  std::uint32_t code = first & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3F);
  }
  constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};  // shorter forms exist for what lies below
  const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
  return code < kSmallest[length] || code > 0x10FFFF || is_surrogate ? 0 : length;
}

}  // namespace

std::string with_thousands(std::uint64_t value) {
  constexpr std::uint64_t kReadable = 1'000'000'000'000'000;
  if (value >= kReadable) {
    std::string text = fmt::format("{:.1e}", static_cast<double>(value));
    return text.erase(text.find('+'), 1);
  }
  const std::string digits = fmt::format("{}", value);
  std::string text;
  for (std::size_t index = 0; index < digits.size(); ++index) {
    if (index > 0 && (digits.size() - index) % 3 == 0) text += ',';
    text += digits[index];
  }
  return text;
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::lround(std::max(seconds, 0.0)));
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::string shown_name(const std::string& bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size();) {
    const std::size_t length = utf8_length(std::string_view(bytes).substr(i));
    if (length > 0) {
      text += bytes.substr(i, length);
      i += length;
    } else {
      text += fmt::format("\\x{:02X}", static_cast<unsigned char>(bytes[i]));
      ++i;
    }
  }
  return text;
}

std::string excerpt(std::string text, std::size_t most_bytes) {
  constexpr std::string_view kBetween = " ... ";
  if (text.size() <= most_bytes) return text;
  const std::size_t tail = most_bytes / 3;
  return text.replace(most_bytes - tail, text.size() - most_bytes, kBetween);
}

std::string problems_message(std::span<const std::string> problems) {
  constexpr std::size_t kMostShown = 100;
  const auto shown = problems.first(std::min(problems.size(), kMostShown));
  std::string message;
  for (const std::string& problem : shown) message += excerpt(problem, 2000) + "\n";
  if (shown.size() < problems.size()) message += fmt::format("... and {} more\n", problems.size() - shown.size());
  return message + fmt::format("{} error{}; nothing was written", problems.size(), problems.size() == 1 ? "" : "s");
}

std::string layer_name(const std::string& parameter) {
  constexpr std::string_view kSuffix = ".weight";
  return parameter.ends_with(kSuffix) ? parameter.substr(0, parameter.size() - kSuffix.size()) : parameter;
}

}  // namespace bsq
