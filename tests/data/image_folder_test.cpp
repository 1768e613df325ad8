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
        fmt::format("data.root '{}': no folder 'train'; expected train/<class>/*.{{jpg,jpeg,png,webp,tif,tiff,bmp}} in "
                    "it, there are no folders",
                    folder));
  fs::create_directory(root / "train");
  CHECK(load_error(root.path()) == fmt::format("{}/train: 0 class folders, at least two are needed; expected "
                                               "train/<class>/*.{{jpg,jpeg,png,webp,tif,tiff,bmp}}",
                                               folder));
  write_image(root / "train/cat/0.png", 1);
  CHECK(load_error(root.path()) == fmt::format("{}/train: 1 class folder, at least two are needed; expected "
                                               "train/<class>/*.{{jpg,jpeg,png,webp,tif,tiff,bmp}}",
                                               folder));
  write_image(root / "train/dog/0.png", 1);
  CHECK(load_error(root.path()) == fmt::format("data.root '{}': no folder 'test' or 'val'; expected test/<class>/"
                                               "*.{{jpg,jpeg,png,webp,tif,tiff,bmp}} in it, where there are train",
                                               folder));
}

TEST_CASE("a class without images is refused") {
  const TemporaryFolder root;
  write_small_set(root.path());
  write_text(root / "train/bird/readme.txt", "no image");
  CHECK(
      load_error(root.path()) ==
      fmt::format("{}/train/bird: no *.{{jpg,jpeg,png,webp,tif,tiff,bmp}} files in this class", root.path().string()));
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
        fmt::format("{}/test/dog/1.png: 6x4 pixels, the first image has 4x4; all images must have one size, or set "
                    "data.image_size",
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
    CHECK_THAT(load_error(root.path()), Catch::Contains("train/cat/205.png: no JPEG, PNG"));
  }
}

TEST_CASE("folders inside a class are read, those behind links too, in torchvision's order") {
  const TemporaryFolder root;
  write_small_set(root.path());
  write_image(root / "train/cat/b/1.png", 1);
  write_image(root / "train/cat/a/z/2.png", 2);
  write_image(root / "train/cat/a-b/3.png", 3);  // '-' before '/'
  write_image(root / "elsewhere/4.png", 4);
  fs::create_directory_symlink(root / "elsewhere", root / "train/cat/c");
  const ImageSets sets = read_all(open_image_folder(root.path(), ImageFolderLimits{}));
  CHECK(values_of(sets.train) == std::vector<int>{20, 30, 3, 2, 1, 4, 40, 50});

  fs::create_directory_symlink("..", root / "train/cat/up");
  CHECK_THAT(load_error(root.path()), Catch::Contains("folders more than 16 deep in a class; is a link among them?"));
}

TEST_CASE("files that are passed over are counted and one is named") {
  const TemporaryFolder root;
  write_small_set(root.path());
  CHECK(open_image_folder(root.path(), ImageFolderLimits{}).train->notes().empty());
  write_text(root / "train/cat/7.gif", "GIF89a");
  write_text(root / "train/dog/8.GIF", "GIF89a");
  write_text(root / "train/dog/9.gif", "GIF89a");
  write_text(root / "train/dog/README", "no image");
  write_text(root / "train/cat/.hidden.gif", "not counted");
  const DataSplits splits = open_image_folder(root.path(), ImageFolderLimits{});
  const std::string folder = root.path().string();
  CHECK(splits.train->notes() == std::vector<std::string>{fmt::format(
                                     "{0}/train: 4 files passed over (1 .GIF, 2 .gif, 1 without extension), such "
                                     "as {0}/train/cat/7.gif",
                                     folder)});
  CHECK(splits.test->notes().empty());
}

TEST_CASE("damage that is passed over is noted once per kind, with the first file, whatever the threads do") {
  const TemporaryFolder root;
  for (const char* split : {"train", "test"})
    for (const char* name : {"cat", "dog"})
      for (int i = 0; i < 20; ++i)
        write_jpeg(root / split / name / fmt::format("{:02}.jpg", i), gradient_picture(8, 8));
  for (const char* name : {"cat/13.jpg", "dog/02.jpg", "cat/17.jpg"}) {
    std::vector<std::uint8_t> bytes = read_bytes(root / "train" / name);
    bytes.insert(bytes.end() - 2, 30, 1);  // more than the decoder reads ahead
    write_bytes(root / "train" / name, bytes);
  }
  const DataSplits splits = open_image_folder(root.path(), ImageFolderLimits{});
  CHECK(splits.train->notes().empty());
  for (int i = 0; i < 2; ++i) {  // reading again adds nothing
    read_all(splits);
    const std::vector<std::string> notes = splits.train->notes();
    REQUIRE(notes.size() == 1);
    CHECK_THAT(notes[0], Catch::StartsWith((root / "train/cat/13.jpg: Corrupt JPEG data: ").string()) &&
                             Catch::EndsWith(" (and 2 more such files)"));
  }
}

TEST_CASE("a test folder without classes gives way to 'val', and says so") {
  const TemporaryFolder root;
  write_small_set(root.path());
  fs::rename(root / "test", root / "val");
  write_image(root / "test/0001.png", 1);
  const DataSplits splits = open_image_folder(root.path(), ImageFolderLimits{});
  CHECK(splits.test->size() == 4);
  CHECK(splits.test->notes() ==
        std::vector<std::string>{
            fmt::format("{0}/test: no class folders in it; {0}/val is the test set", root.path().string())});
  fs::remove_all(root / "val");
  CHECK_THAT(load_error(root.path()), Catch::Contains("/test: 0 class folders, at least two are needed"));
}

TEST_CASE("a class whose name is no UTF-8 is shown with its bytes in hexadecimal") {
  const TemporaryFolder root;
  write_small_set(root.path());
  for (const char* split : {"train", "test"}) fs::rename(root / split / "cat", root / split / "caf\xe9");
  const ImageSets sets = read_all(open_image_folder(root.path(), ImageFolderLimits{}));
  CHECK(sets.train.info().class_names == std::vector<std::string>{"caf\\xE9", "dog"});
  CHECK(values_of(sets.train) == std::vector<int>{20, 30, 40, 50});
}
