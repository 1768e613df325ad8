// Numbers and names as people read them.
#include "engine/base/text.h"
#include "tests/support/catch.h"

#include <string>
#include <vector>

using namespace bsq;

TEST_CASE("large numbers are written for people") {
  CHECK(with_thousands(0) == "0");
  CHECK(with_thousands(999) == "999");
  CHECK(with_thousands(1104220) == "1,104,220");
  CHECK(with_thousands(9100000000000000000U) == "9.1e18");
}

TEST_CASE("times are written as clocks show them") {
  CHECK(clock_text(0) == "0:00");
  CHECK(clock_text(-3) == "0:00");
  CHECK(clock_text(65.4) == "1:05");
  CHECK(clock_text(59.6) == "1:00");
  CHECK(clock_text(3725) == "1:02:05");
  CHECK(clock_text(360000) == "100:00:00");
}

TEST_CASE("a layer is named by its weight") {
  CHECK(layer_name("layer1.0.conv1.weight") == "layer1.0.conv1");
  CHECK(layer_name("fc.bias") == "fc.bias");
}

TEST_CASE("names of files are shown as UTF-8, whatever their bytes") {
  for (const char* good :
       {"", "cat", "caf\xC3\xA9", "\xE7\x8C\xAB", "\xF0\x9F\x90\xB1", "\xED\x9F\xBF", "\xF4\x8F\xBF\xBF"})
    CHECK(shown_name(good) == good);
  CHECK(shown_name("caf\xE9") == "caf\\xE9");
  CHECK(shown_name("\xC3") == "\\xC3");           // cut off
  CHECK(shown_name("\xC0\xAF") == "\\xC0\\xAF");  // longer than need be
  CHECK(shown_name("\xE0\x80\xAF!") == "\\xE0\\x80\\xAF!");
  CHECK(shown_name("\xED\xA0\x80") == "\\xED\\xA0\\x80");           // half of a pair of UTF-16
  CHECK(shown_name("\xF4\x90\x80\x80") == "\\xF4\\x90\\x80\\x80");  // behind the last character
  CHECK(shown_name("a\x80\xE7\x8C\xAB") == "a\\x80\xE7\x8C\xAB");
}

TEST_CASE("of what is too long for a message both ends are shown") {
  CHECK(excerpt("short", 9) == "short");
  CHECK(excerpt("abcdefghijkl", 9) == "abcdef ... jkl");
}

TEST_CASE("problems are listed, the first hundred of them, and counted") {
  CHECK(problems_message(std::vector<std::string>{"a: no"}) == "a: no\n1 error; nothing was written");
  const std::string many = problems_message(std::vector<std::string>(170'000, "again"));
  CHECK(many.ends_with("again\n... and 169900 more\n170000 errors; nothing was written"));
  CHECK(many.size() < 1000);
}
