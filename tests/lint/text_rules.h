// What every text file of the project keeps to, whatever its language.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bsq::lint {

inline constexpr int kMaxLines = 400;  // of a file, but for JSON

/// The faults of one file, as "path:line: what": more than kMaxLines lines, tabs, spaces at the end of a line, no line
/// end at the end, work that was put off, a header without its guard, and (C++, Python, shell) no opening comment
/// saying what the file is.
std::vector<std::string> check_text(std::string_view path, std::string_view text);

}  // namespace bsq::lint
