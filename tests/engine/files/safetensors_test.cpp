// The safetensors format: round trips, agreement with the Python library, and every kind of hostile file.
#include "engine/files/safetensors.h"

#include "tests/support/files.h"

#include <sys/stat.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

using namespace bsq;
using namespace bsq::test;

namespace {

std::string little_endian(std::uint64_t value) {
  std::string text;
  for (int byte = 0; byte < 8; ++byte) text += static_cast<char>(value >> (8 * byte) & 0xff);
  return text;
}

/// A file with this header and `data_bytes` bytes of data.
std::string file_text(const std::string& header, std::size_t data_bytes) {
  return little_endian(header.size()) + header + std::string(data_bytes, '\x01');
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape, offsets);
}

/// The message a file with these bytes is refused with, after the path.
std::string refusal(const std::string& text) {
  const TemporaryFolder folder;
  const fs::path path = folder / "model.safetensors";
  put_text(path, text);
  const std::string message = error_of(ErrorKind::checkpoint, [&] { read_safetensors(path); });
  const std::string start = path.string() + ": ";
  REQUIRE(message.substr(0, start.size()) == start);
  return message.substr(start.size());
}

TensorFile example() {
  const std::vector<float> weights = {1.5F, -0.0F, std::numeric_limits<float>::quiet_NaN(), 4, 5, 6};
  const std::vector<std::uint8_t> mask = {1, 2, 3};
  const std::vector<std::int64_t> steps = {-7};
  TensorFile file;
  file.metadata = {{"scheme", "conv1: 8\n\"quoted\" \xc3\xa9"}};
  file.tensors = {HostTensor::from<float>("b.weight", {2, 3, 1, 1, 1}, weights),
                  HostTensor::from<std::uint8_t>("a.mask", {3}, mask),
                  HostTensor::from<std::int64_t>("steps", {}, steps), HostTensor::from<float>("empty", {0, 5}, {})};
  return file;
}

}  // namespace

TEST_CASE("tensors come back from a file bit for bit, sorted by name") {
  const TemporaryFolder folder;
  const fs::path path = folder / "model.safetensors";
  const TensorFile written = example();
  write_safetensors(path, written);
  const TensorFile read = read_safetensors(path);

  CHECK(read.path == path);
  CHECK(read.metadata == written.metadata);
  REQUIRE(read.tensors.size() == written.tensors.size());
  CHECK(std::is_sorted(read.tensors.begin(), read.tensors.end(),
                       [](const HostTensor& a, const HostTensor& b) { return a.name < b.name; }));
  for (const HostTensor& tensor : written.tensors) {
    INFO(tensor.name);
    const HostTensor& found = read.at(tensor.name);
    CHECK(found.dtype == tensor.dtype);
    CHECK(found.shape == tensor.shape);
    CHECK(found.bytes == tensor.bytes);
  }
  CHECK(read.at("steps").values<std::int64_t>()[0] == -7);
  CHECK(read.at("steps").numel() == 1);
  CHECK(read.find("nothing") == nullptr);
}

TEST_CASE("the header ends on 8 bytes and every tensor lies at a multiple of its element") {
  const TemporaryFolder folder;
  write_safetensors(folder / "a", example());
  const std::string text = text_of(folder / "a");
  const auto header_bytes = static_cast<unsigned char>(text[0]) + 256U * static_cast<unsigned char>(text[1]);
  CHECK(header_bytes % 8 == 0);
  CHECK_THAT(text, Catch::Contains(R"("steps":{"data_offsets":[0,8])"));      // 8-byte elements first,
  CHECK_THAT(text, Catch::Contains(R"("b.weight":{"data_offsets":[8,32])"));  // then 4,
  CHECK_THAT(text, Catch::Contains(R"("a.mask":{"data_offsets":[32,35])"));   // then 1
}

TEST_CASE("a file written by the Python library is read") {
  // safetensors 0.6, numpy: save({"fc.bias": f32 [1, -2], "steps": i64 scalar 7, "mask": u8 [1, 2, 3]}, {"tool":
  // "python"})
  const std::string header =
      R"({"__metadata__":{"tool":"python"},"steps":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
      R"("fc.bias":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},)"
      R"("mask":{"dtype":"U8","shape":[3],"data_offsets":[16,19]}} )";
  const std::string data = little_endian(7) + little_endian(0xc00000003f800000) + "\x01\x02\x03";
  const TemporaryFolder folder;
  put_text(folder / "a", little_endian(header.size()) + header + data);
  const TensorFile file = read_safetensors(folder / "a");
  CHECK(file.metadata.at("tool") == "python");
  CHECK(file.at("steps").values<std::int64_t>()[0] == 7);
  CHECK(file.at("fc.bias").values<float>()[0] == 1.0F);
  CHECK(file.at("fc.bias").values<float>()[1] == -2.0F);
  CHECK(file.at("mask").values<std::uint8_t>()[2] == 3);
}

TEST_CASE("a file without tensors is a file") {
  const TemporaryFolder folder;
  write_safetensors(folder / "a", {});
  CHECK(read_safetensors(folder / "a").tensors.empty());
}

TEST_CASE("a tensor that is missing or of another type is named") {
  const TemporaryFolder folder;
  write_safetensors(folder / "model.safetensors", example());
  const TensorFile file = read_safetensors(folder / "model.safetensors");
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { file.at("conv1.weight"); }),
             Catch::Contains("model.safetensors: no tensor 'conv1.weight' among its 4"));
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { file.at("steps").values<float>(); }),
             Catch::Contains("tensor 'steps' is i64, expected f32"));
}

TEST_CASE("tensors that contradict themselves are never written") {
  const TemporaryFolder folder;
  TensorFile file = example();
  SECTION("bytes and shape") {
    file.tensors[0].bytes.pop_back();
  }
  SECTION("names") {
    file.tensors[0].name = file.tensors[1].name;
  }
  SECTION("a reserved name") {
    file.tensors[0].name = "__metadata__";
  }
  error_of(ErrorKind::internal, [&] { write_safetensors(folder / "a", file); });
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE("a save that fails leaves the old file loadable") {
  const TemporaryFolder folder;
  write_safetensors(folder / "a", example());
  TensorFile large = example();
  large.tensors.push_back(HostTensor::from<float>("large", {10000}, std::vector<float>(10000)));
  {
    const FileSizeLimit limit(4096);
    CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { write_safetensors(folder / "a", large); }),
               Catch::Contains("cannot write: File too large"));
  }
  CHECK(read_safetensors(folder / "a").tensors.size() == example().tensors.size());
  CHECK(names_in(folder.path()) == std::vector<std::string>{"a"});
}

TEST_CASE("what is not a regular file is refused") {
  const TemporaryFolder folder;
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { read_safetensors(folder / "missing"); }),
             Catch::Contains("missing: cannot open: No such file or directory; check the path"));
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { read_safetensors(folder.path()); }),
             Catch::Contains("is a folder; give a file"));
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { read_safetensors(folder / "pipe"); }),
             Catch::Contains("is not a regular file"));
}

TEST_CASE("a file without read permission is refused") {
  const TemporaryFolder folder;
  write_safetensors(folder / "a", example());
  fs::permissions(folder / "a", fs::perms::none);
  BSQ_DROP_PRIVILEGES();
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { read_safetensors(folder / "a"); }),
             Catch::Contains("cannot open: Permission denied; check the owner and the permissions"));
}

TEST_CASE("lengths of the header that do not fit the file are refused") {
  CHECK(refusal("") == "0 bytes are too few for a header; not a safetensors file or truncated");
  CHECK(refusal("1234567") == "7 bytes are too few for a header; not a safetensors file or truncated");
  CHECK(refusal(little_endian(9100000000000000000U) + "{}") ==
        "header says 9.1e18 bytes, file has 10; not a safetensors file or truncated");
  CHECK(refusal(little_endian(~0ULL) + "{}") ==
        "header says 1.8e19 bytes, file has 10; not a safetensors file or truncated");
  CHECK(refusal(little_endian(3) + "{}") == "header says 3 bytes, file has 10; not a safetensors file or truncated");
  CHECK(refusal(little_endian(0)) == "header does not start with '{'; not a safetensors file");

  const TemporaryFolder folder;
  put_text(folder / "sparse", little_endian(100'000'001) + "{}");
  fs::resize_file(folder / "sparse", 200'000'000);  // takes no space on the disk
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { read_safetensors(folder / "sparse"); }),
             Catch::Contains("header says 100,000,001 bytes, more than the 100,000,000 the format allows"));
}

TEST_CASE("headers that are not the JSON of the format are refused") {
  CHECK_THAT(refusal(file_text("{\"a\":", 0)), Catch::StartsWith("header is not JSON"));
  CHECK_THAT(refusal(file_text("{\"a\":\"\xff\"}", 0)), Catch::StartsWith("header is not JSON"));
  CHECK_THAT(refusal(file_text("{}{}", 0)), Catch::StartsWith("header is not JSON"));
  CHECK(refusal(file_text(" {}", 0)) == "header does not start with '{'; not a safetensors file");
  CHECK(refusal(file_text("[]", 0)) == "header does not start with '{'; not a safetensors file");
  CHECK(refusal(file_text("{\"a\":" + std::string(100000, '['), 0)) ==
        "header is nested too deeply; not a safetensors file");
  CHECK_THAT(refusal(file_text("{\"a\":" + std::string(100000, 'x'), 0)), Catch::StartsWith("header is not JSON"));
  CHECK(refusal(file_text("{\"a\":" + std::string(100000, 'x'), 0)).size() < 600);  // readable, whatever the file holds
}

TEST_CASE("a name that no module has is refused before anybody takes it apart") {
  std::string name;
  for (int i = 0; i < 200'000; ++i) name += "model.";
  const std::string message = refusal(file_text("{" + entry(name, "F32", "[1]", "[0,4]") + "}", 4));
  CHECK_THAT(message, Catch::StartsWith("tensor 'model.model.") &&
                          Catch::EndsWith("' has a name of 1200000 bytes; the file is corrupt"));
}

TEST_CASE("keys given twice are refused at every level") {
  const std::string a = entry("a", "U8", "[1]", "[0,1]");
  CHECK(refusal(file_text(fmt::format("{{{},{}}}", a, a), 1)) == "header has 'a' twice; the file is corrupt");
  CHECK(refusal(file_text(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1)) ==
        "header has 'dtype' twice; the file is corrupt");
  CHECK(refusal(file_text(R"({"__metadata__":{"k":"1","k":"2"}})", 0)) == "header has 'k' twice; the file is corrupt");
}

TEST_CASE("entries with wrong fields are refused by the name of the tensor") {
  const std::string fields = "tensor 'a': expected dtype, shape and data_offsets; the file is corrupt";
  CHECK(refusal(file_text(R"({"a":1})", 0)) == fields);
  CHECK(refusal(file_text(R"({"a":{"dtype":"U8","shape":[1]}})", 1)) == fields);
  CHECK(refusal(file_text(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}})", 1)) == fields);
  CHECK(refusal(file_text(R"({"a":{"dtype":8,"shape":[1],"data_offsets":[0,1]}})", 1)) ==
        "tensor 'a': dtype is not a string; the file is corrupt");
  CHECK(refusal(file_text(R"({"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", 1)) ==
        "tensor 'a': shape is not a list; the file is corrupt");
  CHECK(refusal(file_text(R"({"__metadata__":[]})", 0)) == "__metadata__ is not a map of strings; the file is corrupt");
  CHECK(refusal(file_text(R"({"__metadata__":{"epoch":1}})", 0)) ==
        "__metadata__: 'epoch' is not a string; the file is corrupt");
}

TEST_CASE("element types bsq does not hold are refused by name") {
  for (const std::string dtype : {"F8_E5M2", "BOOL", "F8_E4M3", "f32", ""}) {
    CHECK(refusal(file_text(fmt::format("{{{}}}", entry("conv1.weight", dtype, "[1]", "[0,1]")), 1)) ==
          "tensor 'conv1.weight': dtype " + dtype +
              " is not supported; convert it to F32, F16, BF16, F64, U8, I32 or "
              "I64");
  }
}

TEST_CASE("float16 is read as float32, every one of its finite numbers exactly") {
  const TemporaryFolder folder;
  std::string halves;
  std::vector<double> expected;
  for (int bits = 0; bits < 1 << 16; ++bits) {
    const int exponent = bits >> 10 & 31;
    if (exponent == 31) continue;  // infinity and NaN
    halves += {static_cast<char>(bits & 255), static_cast<char>(bits >> 8)};
    // Defined by powers of two: (1 + fraction / 1024) * 2^(exponent - 15), or without the 1 at the least exponent.
    const double fraction = (bits & 1023) / 1024.0;
    const double size = exponent == 0 ? fraction * std::exp2(-14) : (1 + fraction) * std::exp2(exponent - 15);
    expected.push_back(bits >> 15 == 0 ? size : -size);
  }
  const auto count = std::to_string(expected.size());
  const std::string header =
      "{" + entry("a", "F16", "[" + count + "]", "[0," + std::to_string(halves.size()) + "]") + "}";
  put_text(folder / "half.safetensors", little_endian(header.size()) + header + halves);
  const TensorFile file = read_safetensors(folder / "half.safetensors");
  CHECK(file.halves == 1);
  const auto values = file.at("a").values<float>();
  CHECK(std::vector<double>(values.begin(), values.end()) == expected);
}

TEST_CASE("bfloat16 and float64 become float32 where a model is made of them, and other types stay") {
  TensorFile file;
  const std::vector<std::uint16_t> brain = {0x3FC0, 0xBF80, 0x0001};
  const std::vector<double> wide = {0.1, -2};
  file.tensors = {HostTensor::from<std::uint16_t>("brain", {3}, brain), HostTensor::from<double>("wide", {2}, wide),
                  HostTensor::from<std::int64_t>("steps", {}, std::vector<std::int64_t>{3})};
  CHECK(widen_to_float32(file) == 2);
  const auto of = [&](const char* name) {
    const auto values = file.at(name).values<float>();
    return std::vector<float>(values.begin(), values.end());
  };
  CHECK(of("brain") == std::vector<float>{1.5F, -1, 0x1p-133F});
  CHECK(of("wide") == std::vector<float>{0.1F, -2});
  CHECK(file.at("steps").values<std::int64_t>()[0] == 3);
  CHECK(widen_to_float32(file) == 0);
}

TEST_CASE("numbers that are not finite are refused with file and tensor, in every floating-point type") {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const std::string end = "; the file is damaged, or its training has diverged";
  const auto refused = [](HostTensor tensor) {
    TensorFile file;
    file.path = "m.safetensors";
    file.tensors = {HostTensor::from<float>("fine", {1}, std::vector<float>{1e38F}), std::move(tensor)};
    return error_of(ErrorKind::checkpoint, [&] { check_finite(file); });
  };
  CHECK(refused(HostTensor::from<float>("a", {2}, std::vector<float>{1, nan})) ==
        "m.safetensors: tensor 'a' has a number that is not a number (NaN)" + end);
  CHECK(refused(HostTensor::from<float>("a", {2}, std::vector<float>{-infinity, 1})) ==
        "m.safetensors: tensor 'a' has a number that is infinite" + end);
  CHECK(refused(HostTensor::from<double>("a", {1}, std::vector<double>{nan})) ==
        "m.safetensors: tensor 'a' has a number that is not a number (NaN)" + end);
  CHECK(refused(HostTensor::from<std::uint16_t>("a", {1}, std::vector<std::uint16_t>{0x7F80})) ==
        "m.safetensors: tensor 'a' has a number that is infinite" + end);
  TensorFile wide;  // that float32 cannot hold
  wide.tensors = {HostTensor::from<double>("a", {1}, std::vector<double>{1e300})};
  widen_to_float32(wide);
  CHECK_THROWS_AS(check_finite(wide), Error);
}

TEST_CASE("a file of PyTorch's or of ONNX is told so, whatever its name") {
  const TemporaryFolder folder;
  for (const std::string& begin : {std::string("PK\x03\x04 and so on"), std::string("\x80\x02}q\x00.", 6)}) {
    CHECK(refusal(begin + std::string(100, '\0')) ==
          "is a file of PyTorch's; make a safetensors file of it with tools/torch/from_torch.py");
    put_text(folder / "model.bin", begin);
    CHECK(is_pytorch_file(folder / "model.bin"));
  }
  write_safetensors(folder / "a", example());
  CHECK_FALSE(is_pytorch_file(folder / "a"));
  for (const char* begin : {"\x08\x09\x12\x03"
                            "bsq\x1a\x05",
                            "\x08\x0a\x3a\x89\xc0\xb0\x05\x0aL"})
    CHECK(refusal(begin) == "is a file of ONNX, which bsq writes but does not read; give the one that it was made of");
}

TEST_CASE("shapes that are no shapes are refused before memory is taken") {
  const auto shape_refusal = [](const std::string& shape) {
    return refusal(file_text(fmt::format("{{{}}}", entry("a", "F32", shape, "[0,4]")), 4));
  };
  for (const std::string shape : {"[-1]", "[1.0]", "[\"1\"]", "[true]", "[null]", "[9223372036854775808]",
                                  "[4611686018427387904]", "[4294967296,4294967296]", "[65536,65536,65536,65536,16]"}) {
    CHECK(shape_refusal(shape) == "tensor 'a': no tensor has the shape " + shape + "; the file is corrupt");
  }
  CHECK_THAT(shape_refusal("[1e30]"), Catch::StartsWith("tensor 'a': no tensor has the shape"));
  CHECK(shape_refusal("[2]") == "tensor 'a': 4 bytes in the file, 8 by its shape [2]; the file is corrupt");
  CHECK(shape_refusal("[1000000000000]") ==
        "tensor 'a': 4 bytes in the file, 4,000,000,000,000 by its shape [1000000000000]; the file is corrupt");
  CHECK(shape_refusal("[0]") == "tensor 'a': 4 bytes in the file, 0 by its shape [0]; the file is corrupt");
}

TEST_CASE("offsets that are no range are refused") {
  for (const std::string offsets : {"[4,0]", "[-4,0]", "[0]", "[0,4,8]", "[0,4.0]", "4", "[0,18446744073709551615]"}) {
    CHECK(refusal(file_text(fmt::format("{{{}}}", entry("a", "F32", "[1]", offsets)), 4)) ==
          "tensor 'a': data_offsets " + offsets + " are no range; the file is corrupt");
  }
}

TEST_CASE("data that overlaps, has gaps, or does not fill the file is refused") {
  const auto two = [](const std::string& a, const std::string& b, std::size_t data_bytes) {
    return refusal(
        file_text(fmt::format("{{{},{}}}", entry("a", "F32", "[1]", a), entry("b", "F32", "[1]", b)), data_bytes));
  };
  CHECK(two("[0,4]", "[0,4]", 4) ==
        "tensor 'b' starts at byte 0 of the data, inside the tensor before it, which ends at 4; the file is corrupt");
  CHECK(two("[0,4]", "[2,6]", 6) ==
        "tensor 'b' starts at byte 2 of the data, inside the tensor before it, which ends at 4; the file is corrupt");
  CHECK(two("[0,4]", "[5,9]", 9) ==
        "tensor 'b' starts at byte 5 of the data, after a gap since 4; the file is corrupt");
  CHECK(two("[4,8]", "[8,12]", 12) ==
        "tensor 'a' starts at byte 4 of the data, after a gap since 0; the file is corrupt");
  CHECK(two("[0,4]", "[4,8]", 7) == "tensor 'b' ends at byte 8 of 7 bytes of data; truncated");
  CHECK(two("[0,4]", "[4,8]", 9) == "1 bytes after the last tensor belong to none; the file is corrupt");
  CHECK(two("[0,4]", "[9223372036854775803,9223372036854775807]", 8) ==
        "tensor 'b' ends at byte 9.2e18 of 8 bytes of data; truncated");
}

TEST_CASE("control characters of a file do not reach the terminal") {
  const std::string message = refusal(file_text(R"({"\u001b[2J\n":1})", 0));
  CHECK(message == "tensor '?[2J?': expected dtype, shape and data_offsets; the file is corrupt");
}

TEST_CASE("a file cut at any byte, or with any byte changed, loads or is refused") {
  const TemporaryFolder folder;
  const fs::path path = folder / "a";
  write_safetensors(path, example());
  const std::string good = text_of(path);
  const auto read_mutant = [&](const std::string& text) {
    put_text(path, text);
    try {
      read_safetensors(path);
      return true;
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::checkpoint);
      return false;
    }
  };
  for (std::size_t length = 0; length < good.size(); ++length) CHECK_FALSE(read_mutant(good.substr(0, length)));

  int refused = 0;
  std::uint64_t state = 1;  // a linear congruential generator: the mutants are the same everywhere
  const auto next = [&] { return (state = state * 6364136223846793005U + 1442695040888963407U) >> 33; };
  constexpr int kMutants = 2000;
  for (int mutant = 0; mutant < kMutants; ++mutant) {
    std::string text = good;
    text[next() % text.size()] = static_cast<char>(next());
    refused += read_mutant(text) ? 0 : 1;
  }
  CHECK(refused > kMutants / 4);  // most of the file is header, where few changes are harmless
}
