// Names, comments, strings and arrays of C, also from texts that were written by anybody.
#include "tools/export/c/c_text.h"

#include "tests/support/catch.h"

namespace bsq::test {

TEST_CASE("names of C are made of any text") {
  CHECK(c_identifier("ResNet-20") == "resnet_20");
  CHECK(c_identifier("vgg_bn 11 (x)") == "vgg_bn_11_x");
  CHECK(c_identifier("__int") == "int");
  CHECK(c_identifier("20 layers") == "model_20_layers");
  CHECK(c_identifier("\xc3\xa4*/") == "model");
  CHECK(upper_case("vgg_bn_11") == "VGG_BN_11");
}

TEST_CASE("a comment cannot be ended, a string is what it was") {
  CHECK(c_comment("a */ b /* c \?\?/ d\\\n") == "a _/ b /_ c __/ d__");
  CHECK(c_string("cat") == "\"cat\"");
  CHECK(c_string("a\"b\\c\?\?/\n\xc3") == R"("a\"b\\c\?\?/\012\303")");
}

TEST_CASE("numbers of C are those numbers, in lines of up to 120 characters") {
  CHECK(c_float(0.1F) == "0x1.99999ap-4f");
  CHECK(c_float(-3.0F) == "-0x1.8p+1f");
  const std::vector<std::int32_t> least = {-2147483647 - 1, 7};
  CHECK(c_array("a", std::span<const std::int32_t>(least)) ==
        "static const int32_t a[2] = {\n    (-2147483647 - 1), 7};\n");
  const std::vector<std::uint32_t> words(40, 0xabcU);
  const std::string text = c_array("w", std::span<const std::uint32_t>(words));
  std::size_t begin = 0, longest = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; begin = end + 1, end = text.find('\n', begin))
    longest = std::max(longest, end - begin);
  CHECK(longest <= 120);
  CHECK(longest > 100);
  CHECK(text.find("0x00000abc") != std::string::npos);
}

}  // namespace bsq::test
