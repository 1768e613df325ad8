// The one hash of names and texts (kernels/base/hash.h).
#include "kernels/base/hash.h"
#include "tests/support/catch.h"

namespace bsq::test {

TEST_CASE("hashes are those of FNV-1a, in one piece or in several") {
  CHECK(hash_of("") == 0xcbf29ce484222325U);  // the known answers of Fowler, Noll and Vo
  CHECK(hash_of("a") == 0xaf63dc4c8601ec8cU);
  CHECK(hash_of("foobar") == 0x85944171f73967e8U);
  CHECK(hash_of("bar", hash_of("foo")) == hash_of("foobar"));
}

TEST_CASE("six digits are shown of a hash, and every bit of it takes part") {
  CHECK(short_text(0) == "000000");
  CHECK(short_text(0xabcdef) == "abcdef");
  for (int bit = 0; bit < 64; ++bit) CHECK(short_text(std::uint64_t{1} << bit) != "000000");
}

}  // namespace bsq::test
