// What a message may have in it.
#include "kernels/base/error.h"
#include "tests/support/catch.h"

using namespace bsq;

TEST_CASE("an error shows no control characters, whatever file it quotes") {
  const Error error(ErrorKind::data, "a\x1b[2J\x7f\tb\nc\xc3\xa9");
  CHECK(std::string(error.what()) == "a?[2J??b\nc\xc3\xa9");
}
