// Catch2, whichever of its two majors is installed (Debian 12 has 2, Ubuntu 24.04 has 3), under the names of the older.
#pragma once

// Assertions without a try block each, a fifth of the time to compile them: what they do not expect ends the test case.
#define CATCH_CONFIG_FAST_COMPILE

#if __has_include(<catch2/catch_all.hpp>)

#include <catch2/catch_all.hpp>

#include <string>

using Catch::Approx;

namespace Catch {
using Matchers::EndsWith;
using Matchers::Matches;
using Matchers::StartsWith;
inline auto Contains(const std::string& text, CaseSensitive sensitive = CaseSensitive::Yes) {
  return Matchers::ContainsSubstring(text, sensitive);
}
}  // namespace Catch

#else

#include <catch2/catch.hpp>

#endif
