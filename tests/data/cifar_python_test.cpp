// CIFAR for Python: pickles of every protocol, damaged ones, and files that say something else than the images of
// CIFAR.
#include "data/cifar.h"
#include "data/cifar_batch.h"
#include "data/pickle.h"
#include "tests/data/images_on_disk.h"
#include "tests/support/read_all.h"

#include <array>
#include <chrono>

using namespace bsq;
using namespace bsq::test;

namespace {

using Bytes = std::vector<std::uint8_t>;

struct WrittenPickle {
  const char* name;
  std::string hex;

  Bytes bytes() const {
    Bytes result;
    for (std::size_t i = 0; i < hex.size(); i += 2)
      result.push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    return result;
  }
};

const std::vector<WrittenPickle> kPickles = {
#include "tests/data/pickles.inc"
};

Bytes to_bytes(std::string_view text) {
  return {text.begin(), text.end()};
}

std::string refusal(const Bytes& bytes) {
  return error_of(ErrorKind::data, [&] { const Pickle pickle(bytes, "p"); });
}

std::string little_endian(std::size_t number) {
  std::string bytes;
  for (int i = 0; i < 4; ++i) bytes += static_cast<char>(number >> (8 * i) & 0xff);
  return bytes;
}

/// The text of a literal with zeros in it.
template <std::size_t Size>
std::string literal(const char (&text)[Size]) {
  return {text, Size - 1};
}

/// A batch as Python 2 wrote it.
std::string batch(const std::string& labels_key, const std::vector<int>& labels, const Bytes& pixels) {
  std::string text = "\x80\x02}(U";
  text += static_cast<char>(labels_key.size()) + labels_key + "](";
  for (const int label : labels) text += "J" + little_endian(static_cast<std::size_t>(label));
  text += literal(
      "eU\x04"
      "data"
      "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01"
      "b\x87R(K\x01J");
  text += little_endian(pixels.size() / 3072) + "J" + little_endian(3072);
  text += literal(
      "\x86"
      "cnumpy\ndtype\nU\x02u1K\0K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T");
  return text + little_endian(pixels.size()) + std::string(pixels.begin(), pixels.end()) + "tbu.";
}

Bytes some_pixels(std::size_t images, std::uint8_t seed) {
  Bytes pixels(images * 3072);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 7 + i / 256 + seed);
  return pixels;
}

}  // namespace

TEST_CASE("pickles of Python 2, and of Python 3 in every protocol, say the same") {
  REQUIRE(kPickles.size() == 5);
  for (const WrittenPickle& written : kPickles) {
    INFO(written.name);
    const Pickle pickle(written.bytes(), "p");
    const PickleValue* labels = pickle.find(pickle.root(), "labels");
    REQUIRE(labels != nullptr);
    REQUIRE(labels->members.size() == 2);
    CHECK(pickle.value(labels->members[0]).number == 9);
    CHECK(pickle.value(labels->members[1]).number == 6);
    const PickleValue* data = pickle.find(pickle.root(), "data");
    REQUIRE(data != nullptr);
    CHECK(data->members == std::vector<std::size_t>{2, 3});
    const auto pixels = pickle.bytes_of(*data);
    CHECK(Bytes(pixels.begin(), pixels.end()) == Bytes{0, 1, 127, 128, 200, 255});
    CHECK(pickle.text(pickle.value(pickle.find(pickle.root(), "filenames")->members[1])) == "b.png");
    CHECK(pickle.find(pickle.root(), "gone") == nullptr);
  }
}

TEST_CASE("a pickle that is cut short is an error, and one with another byte is read or refused") {
  for (const WrittenPickle& written : kPickles) {
    INFO(written.name);
    const Bytes whole = written.bytes();
    for (std::size_t size = 0; size < whole.size(); ++size)
      CHECK_THAT(refusal({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}),
                 Catch::StartsWith("p: byte ") && Catch::Contains("the file is damaged"));
    int refused = 0;
    for (std::size_t i = 0; i < whole.size(); ++i)
      for (const int flip : {1, 2, 0x10, 0x80, 0xff}) {
        Bytes damaged = whole;
        damaged[i] = static_cast<std::uint8_t>(damaged[i] ^ flip);
        try {
          const Pickle pickle(damaged, "p");
          pickle.find(pickle.root(), "data");
        } catch (const Error& error) {
          CHECK(error.kind() == ErrorKind::data);
          ++refused;
        }
      }
    CHECK(refused > static_cast<int>(whole.size()));
  }
}

TEST_CASE("a pickle asks for nothing but numbers, texts and arrays of bytes") {
  CHECK(refusal(to_bytes("cos\nsystem\n(U\x02lstR.")) ==
        "p: byte 0: it asks for os.system; the file is damaged, or no pickle of numbers and texts");
  CHECK_THAT(refusal(to_bytes("(U\x01"
                              "aU\x01"
                              "b\x81.")),
             Catch::Contains("an instruction 0x81"));
  CHECK_THAT(refusal(to_bytes("K\x01K\x02.")), Catch::Contains("it does not end with one value"));
  CHECK_THAT(refusal(to_bytes("K\x01"
                              "h\x05.")),
             Catch::Contains("it recalls what it has not kept"));
  CHECK_THAT(refusal(to_bytes("K\x01"
                              "K\x02"
                              "a.")),
             Catch::Contains("it adds members to what has none"));
  CHECK_THAT(refusal(to_bytes("](K\x01"
                              "a.")),
             Catch::Contains("it takes a value where there is none"));
  CHECK_THAT(refusal(to_bytes("T\xff\xff\xff\x7f.")), Catch::Contains("it ends in the middle"));
  CHECK_THAT(refusal(to_bytes("cnumpy\nndarray\n)R.")), Catch::Contains("it makes an array in another way"));
  const std::string claims = batch("labels", {}, Bytes(3072));
  std::string taller = claims;
  taller.replace(taller.find("K\x01J") + 3, 4, "\xff\xff\xff\x7f");
  CHECK_THAT(refusal(to_bytes(taller)), Catch::Contains("an array"));
  std::string wider = claims;
  wider.replace(wider.find("u1"), 2, "f4");
  CHECK_THAT(refusal(to_bytes(wider)), Catch::Contains("an array of numbers that are not uint8"));
}

TEST_CASE("a pickle that repeats itself ends in a moment, in bounded memory") {
  std::string text = "](N";  // a list, doubled again and again
  for (int i = 0; i < 9'000'000; ++i) text += 'N';
  text += "e.";
  CHECK_THAT(refusal(to_bytes(text)), Catch::Contains("it has millions of values"));
  std::string decoded = "X" + little_endian(1000) + std::string(1000, 'x') + "q\1U\x06latin1q\2";
  decoded += "0";  // no such instruction here
  CHECK_THAT(refusal(to_bytes(decoded)), Catch::Contains("an instruction 0x30"));
  std::string again = "](X" + little_endian(1000) + std::string(1000, 'x') + "q\1";
  for (int i = 0; i < 1000; ++i) again += "c_codecs\nencode\nh\1U\x06latin1\x86R";
  CHECK_THAT(refusal(to_bytes(again + "e.")), Catch::Contains("it writes the same bytes again and again"));
}

TEST_CASE("bytes that Python 3 has written for Python 2 are all 256 again, and what is no such text is refused") {
  const auto encoded = [](const std::string& utf8) {
    return to_bytes("c_codecs\nencode\nX" + little_endian(utf8.size()) + utf8 + "X\6" + std::string(3, '\0') +
                    "latin1\x86R.");
  };
  std::string all, expected;
  for (unsigned i = 0; i < 256; ++i) {
    expected += static_cast<char>(i);
    if (i >= 0x80) all += static_cast<char>(0xc0 | i >> 6);
    all += static_cast<char>(i < 0x80 ? i : 0x80 | (i & 0x3f));
  }
  const Pickle pickle(encoded(all), "p");
  CHECK((pickle.text(pickle.root()) == expected));
  CHECK(Pickle(encoded(""), "p").root().size == 0);
  for (const char* wrong :
       {"\x80", "a\xbf", "\xc2", "\xc3z", "\xc2\xc2\x80", "\xc4\x80", "\xc0\x80", "\xc2\x80\x80", "\xe2\x82\xac"}) {
    INFO(wrong);
    CHECK_THAT(refusal(encoded(wrong)), Catch::Contains("a byte that is no character below 256"));
  }
}

TEST_CASE("a pickle of arrays that share one long shape, of a long memo, or of states set again, is refused at once") {
  const auto repeated = [](const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
  };
  constexpr int kMany = 300'000;
  const std::string type = literal("cnumpy\ndtype\nU\x02u1K\0K\1\x87R");
  const std::string shape = "(" + repeated(literal("K\1"), kMany) + "tq\2";
  const std::string array =
      "](cnumpy.core.multiarray\n_reconstruct\n)R" + literal("(K\1") + shape + type + "\x89U\1xtb";
  CHECK_THAT(refusal(to_bytes(array + "e.")), Catch::Contains("an array of more dimensions than there are"));
  CHECK_THAT(refusal(to_bytes("\x80\4N" + repeated("\x94", 4'100'000) + ".")),
             Catch::Contains("it has millions of values"));
  // Each state is as long as the file is: 300,000 copies of it would take minutes.
  const auto begun = std::chrono::steady_clock::now();
  const Pickle set_again(to_bytes(shape + type + repeated("h\2b", kMany) + "\x86."), "p");
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(10));
  CHECK(set_again.root().kind == PickleValue::Kind::tuple);
}

TEST_CASE("a batch of CIFAR for Python gives labels and planes, wherever they lie") {
  const TemporaryFolder folder;
  const Bytes pixels = some_pixels(3, 5);
  write_text(folder / "b", batch("labels", {4, 0, 9}, pixels));
  const CifarBatch read = open_python_batch(folder / "b", "labels", 3);
  CHECK(read.labels == std::vector<std::int64_t>{4, 0, 9});
  for (std::int64_t image = 0; image < 3; ++image) {
    std::array<std::uint8_t, 3072> planes{};
    read.read(image, planes);
    CHECK(std::equal(planes.begin(), planes.end(), pixels.begin() + image * 3072));
  }
  const std::string file = (folder / "b").string();
  const auto error = [&](const std::string& key, std::int64_t images) {
    return error_of(ErrorKind::data, [&] { open_python_batch(folder / "b", key, images); });
  };
  CHECK(error("fine_labels", 3) == file + ": no 'fine_labels' with a list in it; is it a file of CIFAR for Python?");
  CHECK(error("labels", 4) == file + ": 'data' is no array of 4 images of 3072 bytes");
  write_text(folder / "b", batch("labels", {4, 0}, pixels));
  CHECK(error("labels", 3) == file + ": 2 labels for 3 images");
}

TEST_CASE("CIFAR for Python is found in its folder or above it, read whole, and checked") {
  const TemporaryFolder root;
  const fs::path folder = root / "cifar-100-python";
  std::vector<int> labels(50000, 7);
  labels[123] = 99;
  const Bytes train = some_pixels(50000, 1), test = some_pixels(10000, 2);
  write_text(folder / "train", batch("fine_labels", labels, train));
  write_text(folder / "test", batch("fine_labels", std::vector<int>(10000, 3), test));
  std::string names =
      "\x80\x02}(U\x10"
      "fine_label_names](";
  for (int i = 0; i < 100; ++i) names += std::string("U\x03") + (i < 10 ? "n0" : "n") + std::to_string(i);
  write_text(folder / "meta", names + "eu.");
  for (const fs::path& place : {root.path(), folder}) {
    const DataSplits splits = open_cifar(CifarVersion::cifar100, place);
    CHECK(splits.train->size() == 50000);
    CHECK(splits.test->size() == 10000);
    CHECK(splits.train->label(123) == 99);
    CHECK(splits.train->info().class_names[7] == "n07");
    Bytes image(3072);
    splits.train->read(49999, image);
    for (std::size_t pixel = 0; pixel < 1024; ++pixel)
      for (std::size_t channel = 0; channel < 3; ++channel)
        REQUIRE(image[pixel * 3 + channel] == train[49999 * 3072 + channel * 1024 + pixel]);
  }
  labels[123] = 100;
  write_text(folder / "train", batch("fine_labels", labels, train));
  CHECK(error_of(ErrorKind::data, [&] { open_cifar(CifarVersion::cifar100, root.path()); }) ==
        (folder / "train").string() + ": record 123: label 100 outside 0..99");
  fs::remove(folder / "test");
  CHECK_THAT(error_of(ErrorKind::data, [&] { open_cifar(CifarVersion::cifar100, root.path()); }),
             Catch::EndsWith("test not found beside the other files of CIFAR-100 for Python"));
}
