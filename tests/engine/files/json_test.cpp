// Depth, counts and measures of JSON that somebody may have damaged.
#include "engine/files/json.h"

#include "tests/support/catch.h"

#include <cstdint>
#include <string>

using namespace bsq;

namespace {

std::string nested(int depth, const char* opening, const char* closing, const char* inside) {
  std::string text;
  for (int i = 0; i < depth; ++i) text += opening;
  text += inside;
  for (int i = 0; i < depth; ++i) text += closing;
  return text;
}

}  // namespace

TEST_CASE("JSON as deep as any file of ours is read, deeper JSON is refused before it fills the stack") {
  CHECK(parse_json(nested(kMaxJsonDepth, "[", "]", "7")).is_array());
  CHECK_THROWS_AS(parse_json(nested(kMaxJsonDepth + 1, "[", "]", "7")), nlohmann::json::exception);
  for (const auto& [opening, closing] : {std::pair{"[", "]"}, std::pair{"{\"a\":", "}"}, std::pair{"[{\"a\":", "}]"}}) {
    CHECK_THROWS_AS(parse_json(nested(300000, opening, closing, "7")), JsonError);
    CHECK_THROWS_AS(parse_json(nested(300000, opening, "", "")), JsonError);
    CHECK(parse_json_or_discard<nlohmann::ordered_json>(nested(300000, opening, closing, "7")).is_discarded());
  }
  CHECK_THROWS_AS(parse_json("{"), nlohmann::json::exception);
  CHECK(parse_json_or_discard("{").is_discarded());
  CHECK(parse_json_or_discard("{\"a\": 1}").at("a") == 1);
}

TEST_CASE("counts and measures of JSON are in their range or refused") {
  CHECK(json_count(parse_json("2147483647")) == 2147483647);
  CHECK(json_count(parse_json("0")) == 0);
  CHECK(json_count(nlohmann::json(12)) == 12);
  CHECK(json_count(parse_json("9"), 9) == 9);
  CHECK(json_count<std::int64_t>(parse_json("4294967296")) == 4294967296);
  for (const char* text : {"-1", "2147483648", "4294967296", "18446744073709551616", "1e300", "1.0", "1.5", "null",
                           "true", "\"3\"", "[3]", "{}"})
    CHECK_THROWS_AS(json_count(parse_json(text)), JsonError);
  CHECK_THROWS_AS(json_count(parse_json("10"), 9), JsonError);
  CHECK(json_measure(parse_json("0.5")) == 0.5);
  CHECK(json_measure(parse_json("7"), 7) == 7);
  for (const char* text : {"-0.5", "7.5", "null", "\"3\"", "[3]"})
    CHECK_THROWS_AS(json_measure(parse_json(text), 7), JsonError);
}

TEST_CASE("a list of many maps takes no time that grows with the square of their number") {
  std::string text = "[{}";
  for (int i = 1; i < 300'000; ++i) text += ",{}";
  CHECK(parse_json(text + "]").size() == 300'000);  // in a fraction of a second, where 10^11 looks took minutes
}
