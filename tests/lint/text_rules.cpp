#include "tests/lint/text_rules.h"

#include "tests/lint/source_files.h"

namespace bsq::lint {
namespace {

/// In x.cpp the header x.h may have said it.
bool says_what_it_is(std::string_view path, std::string_view text) {
  if (path.ends_with(".py") || path.ends_with(".sh")) return text.starts_with("#");
  if (!is_cpp(path)) return true;
  const std::string own_header = std::string(path.substr(0, path.rfind('.'))) + ".h";
  return text.starts_with("// ") || text.starts_with("#include \"" + own_header + "\"");
}

}  // namespace

std::vector<std::string> check_text(std::string_view path, std::string_view text) {
  std::vector<std::string> faults;
  int number = 0;
  const auto fault = [&](std::string_view what) {
    faults.push_back(std::string(path) + ":" + std::to_string(number) + ": " + std::string(what));
  };
  for (const std::string& line : lines_of(text)) {
    ++number;
    if (line.find_first_of("\t\r") != std::string::npos) fault("a tab or a carriage return");
    if (line.ends_with(' ')) fault("spaces at the end of the line");
    if (line.starts_with("#include <catch2/") && path != "tests/support/catch.h")
      fault("include tests/support/catch.h, which knows both versions of Catch2");
    for (const std::string word : {"TO"
                                   "DO",
                                   "FIX"
                                   "ME"}) {  // in halves, for this file is checked as well
      if (line.find(word) != std::string::npos) fault(word + ": do it, or file it as an issue");
    }
  }
  if (number > kMaxLines && !path.ends_with(".json"))
    fault("more than " + std::to_string(kMaxLines) + " lines; split the file");
  if (!text.ends_with('\n') || text.ends_with("\n\n")) fault("the file must end in one line end");
  if ((path.ends_with(".h") || path.ends_with(".cuh")) && text.find("\n#pragma once\n") == std::string_view::npos)
    fault("a header without #pragma once");
  if (!says_what_it_is(path, text)) fault("the file must open with a comment that says what it is");
  return faults;
}

}  // namespace bsq::lint
