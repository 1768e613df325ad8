// The one door: the table, limits, and the checks that every kind of data passes.
#include "data/datasets.h"

#include "data/synthetic.h"
#include "tests/data/images_on_disk.h"
#include "tests/support/config.h"
#include "tests/support/read_all.h"

#include <fmt/format.h>

#include <algorithm>

using namespace bsq;
using namespace bsq::test;

namespace {

/// Images of one pixel, three equal bytes: 10, 20, 30, ...
ImageSet tiny_set(std::vector<std::int32_t> labels) {
  ImageSet set({1, 1, {"cat", "dog"}});
  for (std::size_t i = 0; i < labels.size(); ++i) {
    set.pixels.insert(set.pixels.end(), 3, static_cast<std::uint8_t>(10 * (i + 1)));
  }
  set.labels = std::move(labels);
  return set;
}

ImageSet taken(ImageSet set, int per_class) {
  return read_all(*take_per_class(std::make_unique<ImageSet>(std::move(set)), per_class, "here"));
}

void check_splits(const ImageSets& sets) {
  validate({std::make_unique<ImageSet>(sets.train), std::make_unique<ImageSet>(sets.test)}, "here");
}

std::string validation_error(const ImageSets& sets) {
  return error_of(ErrorKind::data, [&] { check_splits(sets); });
}

Config configured(const std::string& kind, const fs::path& root = {}) {
  Config config = default_config();
  config.data.kind = kind;
  config.data.root = root.string();
  return config;
}

}  // namespace

TEST_CASE("the first images of each class are taken, in the order of the set") {
  const ImageSet set = taken(tiny_set({1, 1, 0, 1, 0, 0}), 2);
  CHECK(set.labels == std::vector<std::int32_t>{1, 1, 0, 0});
  CHECK(set.pixels == std::vector<std::uint8_t>{10, 10, 10, 20, 20, 20, 30, 30, 30, 50, 50, 50});
  CHECK(taken(tiny_set({1, 0, 1}), 0).labels == std::vector<std::int32_t>{1, 0, 1});
}

TEST_CASE("more of each class than there are is refused with the class and its count") {
  CHECK(error_of(ErrorKind::data, [] {
          taken(tiny_set({0, 0, 1}), 2);
        }) == "here: class 'dog' has 1 images, but 2 of each class are asked for");
}

TEST_CASE("the synthetic set comes in the sizes asked for, limited per class") {
  Config config = configured("synthetic");
  config.part<SyntheticConfig>() = {.train = 200, .test = 100};
  const ImageSets whole = read_all(open_datasets(config));
  CHECK(whole.train.size() == 200);
  CHECK(whole.test.size() == 100);

  config.data.train_per_class = 3;
  config.data.test_per_class = 2;
  const ImageSets part = read_all(open_datasets(config));
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
  Config config = configured("image_folder", root.path());
  CHECK(open_datasets(config).train->size() == 3);
  config.data.train_per_class = 1;
  CHECK(open_datasets(config).train->size() == 2);
}

TEST_CASE("the limits hold for CIFAR too") {
  const TemporaryFolder root;
  for (const char* file : {"train.bin", "test.bin"}) {
    write_text(root / file, "");
    fs::resize_file(root / file, file == std::string("train.bin") ? 153700000 : 30740000);  // sparse: all of class 0
  }
  Config config = configured("cifar100", root.path());
  config.data.train_per_class = 5;
  CHECK_THAT(error_of(ErrorKind::data, [&] { open_datasets(config); }),
             Catch::EndsWith("train: class 'class_01' has 0 images, but 5 of each class are asked for"));
}

TEST_CASE("options that make no sense are usage errors") {
  CHECK(error_of(ErrorKind::usage, [&] { open_datasets(configured("mnist", "/d")); }) ==
        "data.kind 'mnist'; must be one of synthetic, cifar10, cifar100, image_folder, webdataset");
  const auto refusal = [](const std::vector<std::string>& overrides) {
    const std::string message = error_of(ErrorKind::usage, [&] { load_config(schema(), {}, overrides); });
    return message.substr(0, message.find('\n'));
  };
  for (const char* kind : {"cifar10", "cifar100", "image_folder", "webdataset"})
    CHECK(refusal({fmt::format("data.kind={}", kind)}) ==
          fmt::format("override 1: data.kind = {} needs data.root, the folder it lies in", kind));
  CHECK(refusal({"data.train_per_class=-1"}) == "override 1: data.train_per_class = -1; must be an integer >= 0");
  CHECK(refusal({"data.synthetic_test=0"}) == "override 1: data.synthetic_test = 0; must be an integer >= 1");
}

TEST_CASE("a test set is told from others of its kind") {
  Config config = configured("synthetic");
  CHECK(describe_test_set(config) == "synthetic, 2000 test images");
  config.data.test_per_class = 5;
  CHECK(describe_test_set(config) == "synthetic, 2000 test images, 5 test images per class");
  CHECK(describe_test_set(configured("cifar10", "/a")) == "cifar10");
  CHECK(describe_test_set(configured("image_folder", "/a")) == "image_folder /a");
}

TEST_CASE("sets that do not fit together are refused") {
  const ImageSets good{tiny_set({0, 1}), tiny_set({1})};
  CHECK_NOTHROW(check_splits(good));

  ImageSets bad = good;
  bad.test = tiny_set({});
  CHECK(validation_error(bad) == "here: test: no images");
  bad = good;
  bad.train.labels[1] = 2;
  CHECK(validation_error(bad) == "here: train: image 1: label 2 outside 0..1");
  bad = good;
  bad.train.images.class_names = {"cat"};
  CHECK(validation_error(bad) == "here: train: fewer than two classes");
  bad = good;
  bad.train.images.height = 0;
  CHECK(validation_error(bad) == "here: train: images of 1x0 pixels");
  bad = good;
  bad.test.images.class_names = {"cat", "cow"};
  CHECK(validation_error(bad) == "here: the classes of test are not those of train");
  bad = good;
  bad.test.images.width = 2;
  CHECK(validation_error(bad) == "here: test images are 2x1 pixels, training images 1x1");
}

TEST_CASE("a share of every class is held out of training, by what the images are and not by where they stand") {
  const TemporaryFolder root;
  for (const char* split : {"train", "test"})
    for (int image = 0; image < 20; ++image)
      for (const char* name : {"cat", "dog"}) {
        const auto byte = static_cast<std::uint8_t>(10 * image);
        if (image < 12 || *name == 'c')
          write_png(root / split / name / fmt::format("{}{}.png", *name, image), plain_picture(4, 4, {byte, 1, 2}));
      }
  Config config = configured("image_folder", root.path());
  const DataSplits whole = open_datasets(config);
  CHECK(whole.holdout == nullptr);
  config.data.holdout = 0.25;
  const auto names_in = [](const Dataset& set) {
    std::set<std::string> names;
    for (std::int64_t i = 0; i < set.size(); ++i) names.insert(fs::path(set.name(i)).filename().string());
    return names;
  };
  const DataSplits splits = open_datasets(config);
  REQUIRE(splits.holdout != nullptr);
  CHECK(splits.test->size() == whole.test->size());
  CHECK(splits.train->size() == 15 + 9);
  CHECK(splits.holdout->size() == 5 + 3);
  const std::set<std::string> held = names_in(*splits.holdout);
  std::set<std::string> both = names_in(*splits.train);
  for (const std::string& name : held) CHECK(both.insert(name).second);
  CHECK(both == names_in(*whole.train));
  CHECK(std::ranges::count_if(held, [](const std::string& name) { return name.front() == 'c'; }) == 5);
  CHECK(names_in(*open_datasets(config).holdout) == held);
  // One picture more, which moves the places of all others, changes one of those held out at most.
  write_png(root / "train/cat/a.png", plain_picture(4, 4, {9, 9, 9}));
  const std::set<std::string> now = names_in(*open_datasets(config).holdout);
  CHECK(std::ranges::count_if(held, [&](const std::string& name) { return now.count(name) == 0; }) <= 1);

  config.data.train_per_class = 2;
  CHECK(open_datasets(config).holdout->size() == 2);  // at least one of each class
  CHECK(open_test_set(config)->size() == whole.test->size());
  config.data.train_per_class = 1;
  CHECK_THAT(
      error_of(ErrorKind::data, [&] { open_datasets(config); }),
      Catch::EndsWith("class 'cat' has 1 image, and data.holdout = 0.25 needs two: one to train on, one held out"));
}
