// Base64 against the vectors of RFC 4648.
#include "engine/base/base64.h"

#include "tests/support/catch.h"

namespace bsq::test {
namespace {

std::string encoded(std::string_view text) {
  return to_base64({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

}  // namespace

TEST_CASE("base64 has the text of RFC 4648, and comes back") {
  const std::pair<std::string_view, std::string_view> pairs[] = {{"", ""},
                                                                 {"f", "Zg=="},
                                                                 {"fo", "Zm8="},
                                                                 {"foo", "Zm9v"},
                                                                 {"foob", "Zm9vYg=="},
                                                                 {"fooba", "Zm9vYmE="},
                                                                 {"foobar", "Zm9vYmFy"},
                                                                 {"\xff\xfe\xfb", "//77"}};
  for (const auto& [text, code] : pairs) {
    CHECK(encoded(text) == code);
    CHECK(from_base64(code) == std::vector<std::uint8_t>(text.begin(), text.end()));
  }
  for (const std::string_view none : {"Z", "Zg=", "Zg!=", "=Zg=", "Z===", "Zm9v=m9v"}) CHECK_FALSE(from_base64(none));
}

}  // namespace bsq::test
