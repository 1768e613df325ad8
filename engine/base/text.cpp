#include "engine/base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace bsq {

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

std::string layer_name(const std::string& parameter) {
  constexpr std::string_view kSuffix = ".weight";
  return parameter.ends_with(kSuffix) ? parameter.substr(0, parameter.size() - kSuffix.size()) : parameter;
}

}  // namespace bsq
