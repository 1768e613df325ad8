// CIFAR readers on files written here. The files are sparse: full length, a handful of records set, the rest zero.
#include "data/cifar.h"

#include "tests/data/images_on_disk.h"
#include "tests/support/read_all.h"

#include <fmt/format.h>

#include <fstream>

using namespace bsq;
using namespace bsq::test;

namespace {

const std::vector<std::string> kCifar10Files = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                                "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};

void write_empty(const fs::path& path, std::uintmax_t size_bytes) {
  write_bytes(path, {});
  fs::resize_file(path, size_bytes);
}

void write_empty_cifar10(const fs::path& folder) {
  for (const std::string& file : kCifar10Files) write_empty(folder / file, 30730000);
}

void write_empty_cifar100(const fs::path& folder) {
  write_empty(folder / "train.bin", 153700000);
  write_empty(folder / "test.bin", 30740000);
}

void patch(const fs::path& path, std::int64_t offset, const std::vector<std::uint8_t>& bytes) {
  std::fstream stream(path, std::ios::binary | std::ios::in | std::ios::out);
  stream.seekp(offset);
  stream.write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
}

/// The three planes of a picture no two bytes of which are likely to be swapped unnoticed.
std::vector<std::uint8_t> planar_pixels() {
  std::vector<std::uint8_t> bytes;
  for (int channel = 0; channel < 3; ++channel) {
    for (int pixel = 0; pixel < 1024; ++pixel) {
      bytes.push_back(static_cast<std::uint8_t>(pixel * 7 + pixel / 256 + channel * 50));
    }
  }
  return bytes;
}

void check_interleaved(const std::uint8_t* image) {
  const std::vector<std::uint8_t> planes = planar_pixels();
  int wrong = 0;
  for (int pixel = 0; pixel < 1024; ++pixel) {
    for (int channel = 0; channel < 3; ++channel) {
      wrong += image[pixel * 3 + channel] != planes[static_cast<std::size_t>(channel * 1024 + pixel)];
    }
  }
  CHECK(wrong == 0);
}

DataSplits open_cifar10(const fs::path& root) {
  return open_cifar(CifarVersion::cifar10, root);
}

}  // namespace

TEST_CASE("CIFAR-10 comes back in file order, interleaved, with its labels") {
  const TemporaryFolder root;
  write_empty_cifar10(root / "cifar-10-batches-bin");
  const fs::path batch = root / "cifar-10-batches-bin/data_batch_3.bin";
  patch(batch, 17 * 3073, {9});
  patch(batch, 17 * 3073 + 1, planar_pixels());
  patch(root / "cifar-10-batches-bin/test_batch.bin", 9999 * 3073, {4});

  const DataSplits splits = open_cifar10(root.path());
  CHECK_NOTHROW(validate(splits, "cifar10"));
  const ImageSets sets = read_all(splits);
  CHECK(sets.train.size() == 50000);
  CHECK(sets.test.size() == 10000);
  CHECK(sets.train.info().height == 32);
  CHECK(sets.train.info().width == 32);
  CHECK(sets.train.info().num_classes() == 10);
  CHECK(sets.train.info().class_names[3] == "cat");
  CHECK(sets.test.info().class_names == sets.train.info().class_names);
  CHECK(sets.train.labels[20016] == 0);
  CHECK(sets.train.labels[20017] == 9);
  CHECK(sets.test.labels[9999] == 4);
  check_interleaved(&sets.train.pixels[20017 * sets.train.info().image_bytes()]);
}

TEST_CASE("CIFAR-10 takes its class names from batches.meta.txt") {
  const TemporaryFolder root;
  write_empty_cifar10(root.path());
  write_text(root / "batches.meta.txt", "a\r\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
  CHECK(open_cifar10(root.path()).train->info().class_names ==
        std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"});

  write_text(root / "batches.meta.txt", "a\nb\n");
  CHECK(error_of(ErrorKind::data, [&] { open_cifar10(root.path()); }) ==
        fmt::format("{}/batches.meta.txt: 2 class names, expected 10", root.path().string()));
}

TEST_CASE("CIFAR-100 uses the fine label, the second of a record") {
  const TemporaryFolder root;
  write_empty_cifar100(root / "cifar-100-binary");
  patch(root / "cifar-100-binary/train.bin", 49999 * 3074, {19, 99});
  patch(root / "cifar-100-binary/train.bin", 49999 * 3074 + 2, planar_pixels());

  const ImageSets sets = read_all(open_cifar(CifarVersion::cifar100, root.path()));
  CHECK(sets.train.size() == 50000);
  CHECK(sets.test.size() == 10000);
  CHECK(sets.train.info().num_classes() == 100);
  CHECK(sets.train.info().class_names[7] == "class_07");
  CHECK(sets.train.labels[49999] == 99);
  check_interleaved(&sets.train.pixels[49999 * sets.train.info().image_bytes()]);
}

TEST_CASE("a missing CIFAR folder or file is named together with what is expected") {
  const TemporaryFolder root;
  const std::string folder = root.path().string();
  CHECK(error_of(ErrorKind::data, [&] { open_cifar10(root / "nowhere"); }) ==
        fmt::format("data.root '{}/nowhere': no such folder", folder));
  CHECK(error_of(ErrorKind::data, [&] { open_cifar10(root.path()); }) ==
        fmt::format("data.root '{}': data_batch_1.bin not found; expected the CIFAR-10 binary version "
                    "(6 files, 30,730,000 bytes each) or cifar-10-batches-py/ of the Python version, see "
                    "tools/get_cifar10.sh",
                    folder));
  CHECK(error_of(ErrorKind::data, [&] { open_cifar(CifarVersion::cifar100, root.path()); }) ==
        fmt::format("data.root '{}': train.bin not found; expected the CIFAR-100 binary version "
                    "(train.bin with 153,700,000 bytes, test.bin with 30,740,000 bytes) or cifar-100-python/ of the "
                    "Python version",
                    folder));

  write_empty_cifar10(root / "cifar-10-batches-bin");
  fs::remove(root / "cifar-10-batches-bin/test_batch.bin");
  CHECK_THAT(error_of(ErrorKind::data, [&] { open_cifar10(root.path()); }),
             Catch::Contains("cifar-10-batches-bin': test_batch.bin not found"));
}

TEST_CASE("a CIFAR file of another length is refused with both lengths") {
  const TemporaryFolder root;
  write_empty_cifar10(root.path());
  fs::resize_file(root / "data_batch_3.bin", 30729999);
  CHECK(error_of(ErrorKind::data, [&] { open_cifar10(root.path()); }) ==
        fmt::format("{}/data_batch_3.bin: 30,729,999 bytes, expected 30,730,000; "
                    "truncated or not the CIFAR-10 binary version",
                    root.path().string()));
}

TEST_CASE("a CIFAR file that becomes shorter after it was opened is an error of the image that is missing") {
  const TemporaryFolder root;
  write_empty_cifar10(root.path());
  const DataSplits splits = open_cifar10(root.path());
  fs::resize_file(root / "data_batch_2.bin", 30729999);
  std::vector<std::uint8_t> pixels(splits.train->info().image_bytes());
  CHECK_NOTHROW(splits.train->read(19998, pixels));
  CHECK(error_of(ErrorKind::data, [&] { splits.train->read(19999, pixels); }) ==
        fmt::format("{}/data_batch_2.bin: became shorter while it was read; try again", root.path().string()));
}

TEST_CASE("a CIFAR label out of range is refused with its record") {
  const TemporaryFolder root;
  write_empty_cifar10(root.path());
  patch(root / "data_batch_3.bin", 17 * 3073, {10});
  CHECK(error_of(ErrorKind::data, [&] { open_cifar10(root.path()); }) ==
        fmt::format("{}/data_batch_3.bin: record 17: label 10 outside 0..9", root.path().string()));

  const TemporaryFolder root100;
  write_empty_cifar100(root100.path());
  patch(root100 / "test.bin", 5 * 3074, {0, 100});
  const auto load = [&] { open_cifar(CifarVersion::cifar100, root100.path()); };
  CHECK_THAT(error_of(ErrorKind::data, load), Catch::EndsWith("test.bin: record 5: label 100 outside 0..99"));
  patch(root100 / "test.bin", 5 * 3074, {20, 0});
  CHECK_THAT(error_of(ErrorKind::data, load), Catch::EndsWith("test.bin: record 5: coarse label 20 outside 0..19"));
}
