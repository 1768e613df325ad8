// The check of text finds every kind of fault, and only faults.
#include "tests/lint/text_rules.h"
#include "tests/support/catch.h"

namespace bsq::lint {
namespace {

using Faults = std::vector<std::string>;

std::string lines(int count) {
  std::string text = "// A file.\n";
  for (int line = 1; line < count; ++line) text += "int x;\n";
  return text;
}

TEST_CASE("a file may have as many lines as the limit says and not one more") {
  CHECK(check_text("a.cpp", lines(kMaxLines)).empty());
  CHECK(check_text("a.cpp", lines(kMaxLines + 1)) == Faults{"a.cpp:401: more than 400 lines; split the file"});
}

TEST_CASE("tabs, carriage returns and spaces at the end of a line are found, with the line") {
  CHECK(check_text("a.yaml", "a: 1\n\tb: 2\n") == Faults{"a.yaml:2: a tab or a carriage return"});
  CHECK(check_text("a.yaml", "a: 1\r\n") == Faults{"a.yaml:1: a tab or a carriage return"});
  CHECK(check_text("a.yaml", "a: 1 \n") == Faults{"a.yaml:1: spaces at the end of the line"});
}

TEST_CASE("a file ends in exactly one line end") {
  CHECK(check_text("a.yaml", "a: 1") == Faults{"a.yaml:1: the file must end in one line end"});
  CHECK(check_text("a.yaml", "a: 1\n\n") == Faults{"a.yaml:2: the file must end in one line end"});
}

TEST_CASE("Catch2 is included in one place, for its versions have other headers") {
  const std::string text = "// A header.\n#pragma once\n#include <catch2/catch.hpp>\n";
  CHECK(check_text("tests/support/xml.h", text) ==
        Faults{"tests/support/xml.h:3: include tests/support/catch.h, which knows both versions of Catch2"});
  CHECK(check_text("tests/support/catch.h", text).empty());
}

TEST_CASE("work that was put off is found") {
  const std::string word = std::string("FIX") + "ME";
  CHECK(check_text("a.cpp", "// A file.\n// " + word + "\n") ==
        Faults{"a.cpp:2: " + word + ": do it, or file it as an issue"});
}

TEST_CASE("a header without its guard is found") {
  CHECK(check_text("a.h", "// A header.\n").size() == 1);
  CHECK(check_text("a.cuh", "// A header, without #pragma once\n").size() == 1);
  CHECK(check_text("a.h", "// A header.\n#pragma once\n").empty());
  CHECK(check_text("a.cpp", "// No header.\n").empty());
}

TEST_CASE("a source file says in its first line what it is") {
  CHECK(check_text("x/a.cpp", "#include <vector>\n").size() == 1);
  CHECK(check_text("x/a.cpp", "#include \"x/b.h\"\n").size() == 1);
  CHECK(check_text("x/a.cpp", "#include \"x/a.h\"\n").empty());  // which says it
  CHECK(check_text("a.h", "\n#pragma once\n").size() == 1);
  CHECK(check_text("a.py", "import os\n").size() == 1);
  CHECK(check_text("a.sh", "#!/bin/sh\n").empty());
  CHECK(check_text("a.yaml", "a: 1\n").empty());
}

}  // namespace
}  // namespace bsq::lint
