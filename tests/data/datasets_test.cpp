// The one door: dispatch, limits, and the checks every kind of data passes.
#include "data/datasets.h"

#include "tests/data/images_on_disk.h"

#include <fmt/format.h>

#include <algorithm>

using namespace bsq;
using namespace bsq::test;

namespace {

/// Images of one pixel, three equal bytes: 10, 20, 30, ...
ImageSet tiny_set(std::vector<std::int32_t> labels) {
  ImageSet set;
  set.height = 1;
  set.width = 1;
  set.class_names = {"cat", "dog"};
  for (std::size_t i = 0; i < labels.size(); ++i) {
    set.pixels.insert(set.pixels.end(), 3, static_cast<std::uint8_t>(10 * (i + 1)));
  }
  set.labels = std::move(labels);
  return set;
}

std::string validation_error(const DataSets& sets) {
  return error_of(ErrorKind::data, [&] { validate(sets, "here"); });
}

}  // namespace

TEST_CASE("the first images of each class are taken, in the order of the set") {
  const ImageSet set = take_per_class(tiny_set({1, 1, 0, 1, 0, 0}), 2, "here");
  CHECK(set.labels == std::vector<std::int32_t>{1, 1, 0, 0});
  CHECK(set.pixels == std::vector<std::uint8_t>{10, 10, 10, 20, 20, 20, 30, 30, 30, 50, 50, 50});
  CHECK(take_per_class(tiny_set({1, 0, 1}), 0, "here").labels == std::vector<std::int32_t>{1, 0, 1});
}

TEST_CASE("more of each class than there are is refused with the class and its count") {
  CHECK(error_of(ErrorKind::data, [] {
          take_per_class(tiny_set({0, 0, 1}), 2, "here");
        }) == "here: class 'dog' has 1 images, but 2 of each class are asked for");
}

TEST_CASE("the synthetic set comes in the sizes asked for, limited per class") {
  const DataSets whole =
      load_datasets({.kind = "synthetic", .root = {}, .synthetic_train = 200, .synthetic_test = 100});
  CHECK(whole.train.size() == 200);
  CHECK(whole.test.size() == 100);

  const DataSets part = load_datasets({.kind = "synthetic",
                                       .root = {},
                                       .train_per_class = 3,
                                       .test_per_class = 2,
                                       .synthetic_train = 200,
                                       .synthetic_test = 100});
  CHECK(part.train.size() == 30);
  CHECK(part.test.size() == 20);
  CHECK(std::count(part.train.labels.begin(), part.train.labels.end(), 7) == 3);
  CHECK(std::equal(part.train.pixels.begin(), part.train.pixels.end(), whole.train.pixels.begin()));
}

TEST_CASE("an image folder and the limits go through the same door") {
  const TemporaryFolder root;
  for (const char* file : {"train/a/0.png", "train/a/1.png", "train/b/0.png", "test/a/0.png", "test/b/0.png"}) {
    write_png(root / file, gradient_picture(3, 3));
  }
  CHECK(load_datasets({.kind = "image_folder", .root = root.path()}).train.size() == 3);
  CHECK(load_datasets({.kind = "image_folder", .root = root.path(), .train_per_class = 1}).train.size() == 2);
}

TEST_CASE("the limits hold for CIFAR too") {
  const TemporaryFolder root;
  for (const char* file : {"train.bin", "test.bin"}) {
    write_text(root / file, "");
    fs::resize_file(root / file, file == std::string("train.bin") ? 153700000 : 30740000);  // sparse: all of class 0
  }
  CHECK_THAT(error_of(ErrorKind::data,
                      [&] { load_datasets({.kind = "cifar100", .root = root.path(), .train_per_class = 5}); }),
             Catch::EndsWith("train: class 'class_01' has 0 images, but 5 of each class are asked for"));
}

TEST_CASE("options that make no sense are usage errors") {
  const auto message = [](const DataOptions& options) {
    return error_of(ErrorKind::usage, [&] { load_datasets(options); });
  };
  CHECK(message({.kind = "mnist", .root = "/d"}) ==
        "data.kind 'mnist'; must be one of synthetic, cifar10, cifar100, image_folder");
  CHECK(message({.kind = "cifar10", .root = {}}) ==
        "data.root is not set; data.kind 'cifar10' needs the folder of its files");
  CHECK(message({.kind = "synthetic", .root = {}, .train_per_class = -1}) ==
        "data.train_per_class = -1; must be at least 0");
  CHECK(message({.kind = "synthetic", .root = {}, .synthetic_test = 0}) ==
        "data.synthetic_test = 0; must be at least 1");
}

TEST_CASE("sets that do not fit together are refused") {
  const DataSets good{tiny_set({0, 1}), tiny_set({1})};
  CHECK_NOTHROW(validate(good, "here"));

  DataSets bad = good;
  bad.test = tiny_set({});
  CHECK(validation_error(bad) == "here: test: no images");
  bad = good;
  bad.train.labels[1] = 2;
  CHECK(validation_error(bad) == "here: train: image 1: label 2 outside 0..1");
  bad = good;
  bad.train.class_names = {"cat"};
  CHECK(validation_error(bad) == "here: train: fewer than two classes");
  bad = good;
  bad.train.pixels.pop_back();
  CHECK(validation_error(bad) == "here: train: 5 bytes of pixels, expected 6 for 2 images of 1x1");
  bad = good;
  bad.test.class_names = {"cat", "cow"};
  CHECK(validation_error(bad) == "here: the classes of test are not those of train");
  bad = good;
  bad.test.width = 2;
  bad.test.pixels.resize(6);
  CHECK(validation_error(bad) == "here: test images are 2x1 pixels, training images 1x1");
}
