// strftime on UTC (engine/base/utc_time.h); std::format of calendar types is not in the compilers bsq builds with.
#include "engine/base/utc_time.h"

#include <fmt/format.h>

#include <array>
#include <ctime>

namespace bsq {
namespace {

std::string formatted(std::chrono::system_clock::time_point time, const char* format) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  return std::string(text.data(), std::strftime(text.data(), text.size(), format, &utc));
}

}  // namespace

std::string utc_timestamp(std::chrono::system_clock::time_point time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(time - whole).count();
  return fmt::format("{}.{:03}Z", formatted(whole, "%Y-%m-%dT%H:%M:%S"), milliseconds);
}

std::string utc_folder_stamp(std::chrono::system_clock::time_point time) {
  return formatted(time, "%Y%m%d-%H%M%S");
}

}  // namespace bsq
