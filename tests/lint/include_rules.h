// The rooms of the house as a table, and the check of one file's #include lines against it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bsq::lint {

struct IncludeRule {
  std::string_view files;                   // the files it is for begin with this
  std::string_view ending;                  // and end with this; the longest match of both together counts
  std::vector<std::string_view> below;      // "a/": a room; "a/*": what lies in it directly; or a header
  std::vector<std::string_view> libraries;  // begins of headers, beside the C++ standard library and POSIX
};

const std::vector<IncludeRule>& include_rules();

/// The faults of the file `path` (relative to the root) with the contents `text`, as "path:line: what".
std::vector<std::string> check_includes(std::string_view path, std::string_view text);

/// The same of a test, which includes the room it tests, rooms below it, and tests/support; what tests the whole
/// program includes no header of the product.
std::vector<std::string> check_test_includes(std::string_view path, std::string_view text);

/// Whether what the source file `path` includes first is the header of its name: then the header is compiled by itself.
bool begins_with_own_header(std::string_view path, std::string_view text);

}  // namespace bsq::lint
