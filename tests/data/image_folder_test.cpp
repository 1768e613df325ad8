// The folder reader: order, limits, and every way a folder can be wrong.
#include "data/image_folder.h"

#include "tests/data/images_on_disk.h"
#include "tests/support/read_all.h"

#include <fmt/format.h>

using namespace bsq;
using namespace bsq::test;

namespace {

/// A 4x4 image whose every byte is `value`, so that pixels tell which file was read.
void write_image(const fs::path& path, int value) {
  const auto byte = static_cast<std::uint8_t>(value);
  write_png(path, plain_picture(4, 4, {byte, byte, byte}));
}

/// Two classes, cat and dog, with two images each in both splits.
void write_small_set(const fs::path& root) {
  int value = 10;
  for (const char* split : {"train", "test"}) {
    for (const char* name : {"cat", "dog"}) {
      for (const char* file : {"0.png", "1.png"}) write_image(root / split / name / file, value += 10);
    }
  }
}

/// The value of each image of the set.
std::vector<int> values_of(const ImageSet& set) {
  std::vector<int> values;
  for (std::size_t i = 0; i < set.labels.size(); ++i) values.push_back(set.pixels.at(i * set.info().image_bytes()));
  return values;
}

/// Of opening the folder and reading all of it.
std::string load_error(const fs::path& root, const ImageFolderLimits& limits = {}) {
  return error_of(ErrorKind::data, [&] { read_all(open_image_folder(root, limits)); });
}

}  // namespace

TEST_CASE("an image folder is read class by class, both sorted in byte order") {
  const TemporaryFolder root;
  write_image(root / "train/b/2.png", 1);
  write_image(root / "train/b/10.PNG", 2);  // "10" before "2": bytes, not numbers
  write_image(root / "train/b/Z.png", 3);   // digits before capitals before small letters
  write_image(root / "train/b/a.jpeg", 4);
  write_image(root / "train/A/x.png", 5);
  write_image(root / "train/a/x.png", 6);
  for (const char* name : {"a", "b", "A"}) write_image(root / "val" / name / "x.png", 7);
  write_text(root / "train/a/notes.txt", "no image");
  write_text(root / "train/readme.txt", "no class");
  write_text(root / "train/b/.hidden.png", "passed over");
  fs::create_directory(root / "train/.cache");

  const DataSplits splits = open_image_folder(root.path(), ImageFolderLimits{});
  CHECK_NOTHROW(validate(splits, "folder"));
  const ImageSets sets = read_all(splits);
  CHECK(sets.train.info().class_names == std::vector<std::string>{"A", "a", "b"});
  CHECK(sets.train.labels == std::vector<std::int32_t>{0, 1, 2, 2, 2, 2});
  CHECK(values_of(sets.train) == std::vector<int>{5, 6, 2, 1, 3, 4});
  CHECK(sets.train.info().height == 4);
  CHECK(sets.train.info().width == 4);
  CHECK(sets.test.labels == std::vector<std::int32_t>{0, 1, 2});
}

TEST_CASE("'test' is taken before 'val'") {
  const TemporaryFolder root;
  write_small_set(root.path());
  write_image(root / "val/cat/0.png", 1);
  CHECK(open_image_folder(root.path(), ImageFolderLimits{}).test->size() == 4);
}

TEST_CASE("limits take the first files of each class and leave the others untouched") {
  const TemporaryFolder root;
  write_small_set(root.path());
  write_text(root / "train/dog/1.png", "not an image, and not looked at");
  const ImageSets sets = read_all(open_image_folder(root.path(), {.train_per_class = 1, .test_per_class = 2}));
  CHECK(values_of(sets.train) == std::vector<int>{20, 40});
  CHECK(sets.train.labels == std::vector<std::int32_t>{0, 1});
  CHECK(values_of(sets.test) == std::vector<int>{60, 70, 80, 90});
}

TEST_CASE("a limit above what a class holds is refused") {
  const TemporaryFolder root;
  write_small_set(root.path());
  CHECK(load_error(root.path(), {.train_per_class = 3, .test_per_class = 0}) ==
        fmt::format("{}/train/cat: 2 images, but 3 of each class are asked for", root.path().string()));
}

TEST_CASE("a folder without train, test or classes is refused with what is expected") {
  const TemporaryFolder root;
  const std::string folder = root.path().string();
  CHECK(load_error(root / "nowhere") == fmt::format("data.root '{}/nowhere': no such folder", folder));
  CHECK(load_error(root.path()) ==
        fmt::format("data.root '{}': no folder 'train'; expected train/<class>/*.{{jpg,jpeg,png}} in it", folder));
  fs::create_directory(root / "train");
  CHECK(load_error(root.path()) ==
        fmt::format("{}/train: 0 class folders, at least two are needed; expected train/<class>/*.{{jpg,jpeg,png}}",
                    folder));
  write_image(root / "train/cat/0.png", 1);
  CHECK(load_error(root.path()) ==
        fmt::format("{}/train: 1 class folder, at least two are needed; expected train/<class>/*.{{jpg,jpeg,png}}",
                    folder));
  write_image(root / "train/dog/0.png", 1);
  CHECK(
      load_error(root.path()) ==
      fmt::format("data.root '{}': no folder 'test' or 'val'; expected test/<class>/*.{{jpg,jpeg,png}} in it", folder));
}

TEST_CASE("a class without images is refused") {
  const TemporaryFolder root;
  write_small_set(root.path());
  write_text(root / "train/bird/readme.txt", "no image");
  CHECK(load_error(root.path()) ==
        fmt::format("{}/train/bird: no .jpg, .jpeg or .png files in this class", root.path().string()));
}

TEST_CASE("the classes of test must be those of train") {
  const TemporaryFolder root;
  write_small_set(root.path());
  const std::string folder = root.path().string();
  write_image(root / "train/bird/0.png", 1);
  CHECK(load_error(root.path()) == fmt::format("{0}/test: class 'bird' of {0}/train is missing", folder));
  write_image(root / "test/bird/0.png", 1);
  write_image(root / "test/zebra/0.png", 1);
  CHECK(load_error(root.path()) == fmt::format("{0}/test: class 'zebra' is not one of {0}/train", folder));
}

TEST_CASE("an image of another size is named, in train and in test") {
  const TemporaryFolder root;
  write_small_set(root.path());
  write_png(root / "test/dog/1.png", gradient_picture(4, 6));
  CHECK(load_error(root.path()) ==
        fmt::format("{}/test/dog/1.png: 6x4 pixels, the first image has 4x4; all images must have one size",
                    root.path().string()));
}

TEST_CASE("a file that cannot be opened is an error, not an absence") {
  const TemporaryFolder root;
  write_small_set(root.path());
  fs::create_symlink("nowhere", root / "train/cat/5.png");
  CHECK(load_error(root.path()) ==
        fmt::format("{}/train/cat/5.png: cannot be read: No such file or directory", root.path().string()));
}

TEST_CASE("of several bad files the first in order is reported, every time") {
  const TemporaryFolder root;
  write_small_set(root.path());
  for (int i = 100; i < 400; ++i) write_image(root / "train/cat" / fmt::format("{}.png", i), 1);
  for (const int bad : {399, 390, 333, 310, 222, 205}) {
    write_text(root / "train/cat" / fmt::format("{}.png", bad), "bad");
  }
  for (int attempt = 0; attempt < 10; ++attempt) {
    CHECK_THAT(load_error(root.path()), Catch::Contains("train/cat/205.png: neither a JPEG nor a PNG"));
  }
}
