// Numbers of ONNX's narrow types, the table of widths, and SHA-256.
#include "kernels/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/files.h"
#include "tools/export/onnx/graph.h"
#include "tools/export/onnx/network_graph.h"

namespace bsq::test {

TEST_CASE("numbers below a byte lie from its lowest bits up, wider ones little-endian") {
  CHECK(integer_tensor("x", OnnxType::int2, {5}, {1, -2, 0, -1, 1}).raw == std::string("\xC9\x01", 2));
  CHECK(integer_tensor("x", OnnxType::int4, {3}, {1, -8, 7}).raw == std::string("\x81\x07", 2));
  CHECK(integer_tensor("x", OnnxType::int8, {2}, {-128, 127}).raw == std::string("\x80\x7F", 2));
  CHECK(integer_tensor("x", OnnxType::int16, {2}, {-255, 256}).raw == std::string("\x01\xFF\x00\x01", 4));
}

TEST_CASE("every number of every type comes back, and one outside it is refused") {
  for (const OnnxType type : {OnnxType::int2, OnnxType::int4, OnnxType::int8, OnnxType::int16}) {
    INFO(name_of(type));
    const int limit = 1 << (bits_of(type) - 1);
    std::vector<int> values;
    for (int value = -limit; value < limit; ++value) values.push_back(value);
    const auto count = static_cast<std::int64_t>(values.size());
    CHECK(values_of(integer_tensor("x", type, {count}, values)) == std::vector<float>(values.begin(), values.end()));
    for (const int outside : {-limit - 1, limit})
      CHECK_THAT(error_of(ErrorKind::internal, [&] { integer_tensor("x", type, {1}, {outside}); }),
                 Catch::Contains("does not fit"));
  }
  OnnxTensor cut = float_tensor("x", {2}, {1, 2});
  cut.raw.pop_back();
  CHECK_THAT(error_of(ErrorKind::verification, [&] { values_of(cut); }), Catch::Contains("7 bytes do not fill 2"));
}

TEST_CASE("each width has a type that holds its levels, no narrower than asked for") {
  const auto table = [](OnnxType narrowest) {
    std::string text;
    for (int bits = 0; bits <= 8; ++bits) text += std::string(" ") + name_of(container_of(bits, narrowest));
    return text;
  };
  CHECK(table(OnnxType::int8) == " INT8 INT8 INT8 INT8 INT8 INT8 INT8 INT8 INT16");
  CHECK(table(OnnxType::int4) == " INT4 INT4 INT4 INT4 INT8 INT8 INT8 INT8 INT16");
  CHECK(table(OnnxType::int2) == " INT2 INT2 INT4 INT4 INT8 INT8 INT8 INT8 INT16");
  for (int bits = 0; bits <= 8; ++bits) {
    const int most = (1 << bits) - 1;
    for (const OnnxType narrowest : {OnnxType::int8, OnnxType::int4, OnnxType::int2})
      CHECK(most < 1 << (bits_of(container_of(bits, narrowest)) - 1));
    CHECK(level_type_of(bits) == (bits < 8 ? OnnxType::int8 : OnnxType::uint8));
  }
}

}  // namespace bsq::test
