// Tar archives of pictures: what of them becomes a set, in which order, and every way they can be wrong.
#include "data/webdataset.h"

#include "data/tar.h"
#include "tests/data/images_on_disk.h"
#include "tests/support/read_all.h"
#include "tests/support/tar_archive.h"

#include <fmt/format.h>

using namespace bsq;
using namespace bsq::test;

namespace {

/// A PNG of 4x4 pixels whose every byte is `value`.
std::string png(int value) {
  const TemporaryFolder folder;
  const auto byte = static_cast<std::uint8_t>(value);
  write_png(folder / "p.png", plain_picture(4, 4, {byte, byte, byte}));
  const std::vector<std::uint8_t> bytes = read_bytes(folder / "p.png");
  return {bytes.begin(), bytes.end()};
}

/// Samples of a number and a class each.
TarArchive archive_of(const std::vector<std::pair<int, std::string>>& samples) {
  TarArchive archive;
  for (const auto& [value, label] : samples) {
    archive.add(fmt::format("s{:03}.png", value), png(value));
    archive.add(fmt::format("s{:03}.cls", value), label);
  }
  return archive;
}

/// A test set of classes 0 and 1, beside whatever training set.
void write_test_set(const fs::path& root) {
  archive_of({{200, "0"}, {201, "1"}}).write(root / "test/0.tar");
}

std::vector<int> values_in(const Dataset& set) {
  std::vector<int> values;
  for (std::int64_t i = 0; i < set.size(); ++i) {
    std::vector<std::uint8_t> pixels(set.info().image_bytes());
    set.read(i, pixels);
    values.push_back(pixels.at(0));
  }
  return values;
}

std::vector<int> labels_in(const Dataset& set) {
  std::vector<int> labels;
  for (std::int64_t i = 0; i < set.size(); ++i) labels.push_back(set.label(i));
  return labels;
}

/// What is said of a training archive of this content.
std::string error_with(const TarArchive& train, bool with_end = true) {
  const TemporaryFolder root;
  write_test_set(root.path());
  train.write(root / "train/0.tar", with_end);
  return error_of(ErrorKind::data, [&] {
    const DataSplits splits = open_webdataset(root.path());
    values_in(*splits.train);
  });
}

}  // namespace

TEST_CASE("the samples of archives are the set, archive by archive, with their numbers as classes") {
  const TemporaryFolder root;
  archive_of({{30, "1\n"}, {10, " 0"}}).write(root / "train/b.tar");
  archive_of({{20, "1"}}).write(root / "train/a.tar");
  write_text(root / "train/notes.txt", "passed over");
  write_test_set(root.path());
  const DataSplits splits = open_webdataset(root.path());
  CHECK_NOTHROW(validate(splits, "archives"));
  CHECK(values_in(*splits.train) == std::vector<int>{20, 30, 10});
  CHECK(labels_in(*splits.train) == std::vector<int>{1, 1, 0});
  CHECK(splits.train->info().class_names == std::vector<std::string>{"0", "1"});
  CHECK(splits.train->info().height == 4);
  CHECK(values_in(*splits.test) == std::vector<int>{200, 201});
  CHECK(splits.train->name(1) == (root / "train/b.tar").string() + ": s030.png");
  CHECK(splits.train->identity(1) != splits.train->identity(2));
  CHECK(splits.train->notes().empty());
}

TEST_CASE("archives may lie beside one another, and validation archives are a test set") {
  const TemporaryFolder root;
  archive_of({{1, "0"}, {2, "1"}}).write(root / "train-000.tar");
  archive_of({{3, "1"}}).write(root / "train-001.tar");
  archive_of({{4, "0"}, {5, "1"}}).write(root / "val-000.tar");
  const DataSplits splits = open_webdataset(root.path());
  CHECK(values_in(*splits.train) == std::vector<int>{1, 2, 3});
  CHECK(values_in(*splits.test) == std::vector<int>{4, 5});
  CHECK_THAT(error_of(ErrorKind::data,
                      [&] {
                        open_webdataset(root.path(), 0, {}, {"t", "train-001"});
                      }),
             Catch::EndsWith("train-001.tar: is an archive of both splits, training and test; name them so that they "
                             "differ"));
}

TEST_CASE("classes are names in byte order, from texts or from JSON, or numbers that a file names") {
  const TemporaryFolder root;
  TarArchive train;
  train.add("d/1.PNG", png(1));
  train.add("d/1.json", R"({"label": "dog", "x": [1]})");
  train.add("d/2.json", R"({"cls": "cat"})");
  train.add("d/2.png", png(2));
  train.add("d/3.cls", "Zebra");
  train.add("d/3.json", R"({"label": "dog"})");  // beside .cls it is of no account
  train.add("d/3.png", png(3));
  train.write(root / "train/0.tar");
  archive_of({{4, "cat"}, {5, "dog"}, {6, "Zebra"}}).write(root / "test/0.tar");
  const DataSplits named = open_webdataset(root.path());
  CHECK(named.train->info().class_names == std::vector<std::string>{"Zebra", "cat", "dog"});
  CHECK(labels_in(*named.train) == std::vector<int>{2, 1, 0});
  CHECK(labels_in(*named.test) == std::vector<int>{1, 2, 0});

  const TemporaryFolder other;
  TarArchive numbers;
  numbers.add("1.jpeg", png(7));  // the bytes tell what it is
  numbers.add("1.json", R"({"label": 1})");
  numbers.add("2.png", png(8));
  numbers.add("2.cls", "00");
  numbers.write(other / "train/0.tar");
  write_test_set(other.path());
  write_text(other / "classes.txt", "tench\r\ngoldfish\n\n");
  const DataSplits counted = open_webdataset(other.path());
  CHECK(counted.train->info().class_names == std::vector<std::string>{"tench", "goldfish"});
  CHECK(labels_in(*counted.train) == std::vector<int>{1, 0});
  write_text(other / "classes.txt", "tench\n\ngoldfish\n");
  CHECK_THAT(error_of(ErrorKind::data, [&] { open_webdataset(other.path()); }),
             Catch::EndsWith("classes.txt: line 2 is empty; each line is the name of a class"));
}

TEST_CASE("long names, folders, links and files of other programs are no obstacle") {
  const TemporaryFolder root;
  const std::string folder(120, 'f');
  TarArchive train;
  train.add("x", "52 comment=something", 'g');
  train.add(folder, "", '5');
  train.add_pax("path", folder + "/1.png");
  train.add("short", png(1));
  train.add("././@LongLink", folder + "/1.cls" + std::string(1, '\0'), 'L');
  train.add("short", "0");
  train.add("link.png", "", '2');
  train.add(".hidden.png", "x");
  train.add(folder.substr(0, 20) + "/._2.png", "x");
  train.add("2.seg.png", "a mask");
  train.add("2.png", png(2));
  train.add("2.txt", "a caption");
  train.add("2.cls", "1");
  train.add("3.cls", "1");
  train.write(root / "train/0.tar");
  write_test_set(root.path());
  const DataSplits splits = open_webdataset(root.path());
  CHECK(values_in(*splits.train) == std::vector<int>{1, 2});
  CHECK(splits.train->name(0) == (root / "train/0.tar").string() + ": " + folder + "/1.png");
  CHECK(splits.train->notes() ==
        std::vector<std::string>{(root / "train").string() +
                                 ": files that are passed over: 1 .png, 1 .txt, 1 class without a picture"});
}

TEST_CASE("pictures of archives get the size that is asked for, as those of folders do") {
  const TemporaryFolder root;
  write_png(root / "p.png", gradient_picture(30, 21));
  const std::vector<std::uint8_t> bytes = read_bytes(root / "p.png");
  TarArchive archive;
  for (const char* label : {"0", "1"}) {
    archive.add(std::string(label) + ".png", {bytes.begin(), bytes.end()});
    archive.add(std::string(label) + ".cls", label);
  }
  for (const char* split : {"train", "test"}) archive.write(root / split / "0.tar");
  const PictureOptions options{.fit = {.resize = 14}, .crop = RandomCrop{.least_area = 0.3}};
  const DataSplits splits = open_webdataset(root.path(), 12, options);
  std::vector<std::uint8_t> read(12 * 12 * 3), expected(12 * 12 * 3);
  splits.train->read(1, read);
  read_fitted_image(root / "p.png", {12, 12}, options.fit, expected.data());
  CHECK(read == expected);
  CHECK(splits.train->augments());
  CHECK_FALSE(splits.test->augments());
  const AugmentKey key{.seed = 3, .stream = 1, .epoch = 2};
  splits.train->read_augmented(1, key, read);
  read_cropped_image(root / "p.png", {12, 12}, options.fit, *options.crop, key, 1, expected.data());
  CHECK(read == expected);
}

TEST_CASE("archives that are damaged, cut short or none are named, and the place") {
  const TarArchive whole = archive_of({{1, "0"}, {2, "1"}});
  TarArchive cut = whole;
  cut.bytes.resize(cut.bytes.size() - 700);
  CHECK_THAT(error_with(cut, false), Catch::Contains("train/0.tar: at byte ") && Catch::Contains("cut short"));
  CHECK_THAT(error_with(whole, false), Catch::Contains("ends without its mark of an end; it was cut short"));
  TarArchive in_content;
  in_content.add("1.png", png(1));
  in_content.bytes.resize(540);
  CHECK_THAT(error_with(in_content, false), Catch::Contains("bytes begins, 28 are there; it was cut short"));
  TarArchive bent = whole;
  bent.bytes[1024 + 20] = 'x';  // in the second header
  CHECK_THAT(error_with(bent), Catch::Contains("at byte 1024: no header of a tar archive; it is damaged"));
  TarArchive compressed;
  compressed.bytes = "\x1f\x8b" + std::string(2000, 'z');
  CHECK_THAT(error_with(compressed), Catch::Contains("no tar archive (compressed ones cannot be read in parts)"));
  TarArchive sparse;
  sparse.add("1.png", png(1), 'S');
  CHECK_THAT(error_with(sparse), Catch::Contains("a file with holes"));
  for (const char* record : {"", "9", "99 path=x\n", "3 a", "12 path\n", "16 size=x\n", "5 path=long\n"}) {
    TarArchive with_record = TarArchive();
    with_record.add("record", std::string(record) + (*record == '\0' ? "x" : ""), 'x');
    INFO(record);
    CHECK_THAT(error_with(with_record), Catch::Contains("train/0.tar: at byte 512: a "));
  }
  TarArchive with_zero;
  with_zero.add_pax("path", std::string("a\0b.png", 7));
  CHECK_THAT(error_with(with_zero), Catch::Contains("at byte 512: a name with a zero in it"));
  TarArchive long_name;
  long_name.add("n", std::string(100'000, 'n'), 'L');
  CHECK_THAT(error_with(long_name), Catch::Contains("a name of 100000 bytes"));
  TarArchive huge = whole;
  huge.bytes.replace(124, 12, std::string("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12));
  CHECK_THAT(error_with(huge), Catch::Contains("at byte 0: no "));
}

TEST_CASE("samples without a class, with two pictures or another class are named") {
  TarArchive without;
  without.add("1.png", png(1));
  CHECK_THAT(error_with(without),
             Catch::EndsWith("0.tar: 1.png: no class beside it; expected 1.cls or 1.json next to it"));
  TarArchive twice;
  twice.add("1.png", png(1));
  twice.add("1.jpg", png(1));
  CHECK_THAT(error_with(twice), Catch::EndsWith("1.jpg: a second picture of this sample"));
  for (const char* json :
       {"", "[1]", "{\"label\": 1.5}", "{\"label\": \"\"}", "{\"class\": 1}", "{\"cls\": \"a\\u0000\"}", "{"}) {
    TarArchive bad;
    bad.add("1.json", json);
    bad.add("1.png", png(1));
    CHECK_THAT(error_with(bad), Catch::Contains("1.json: no class; expected a JSON object"));
  }
  for (const std::string& text : {std::string(), std::string(" \n"), std::string("1\n2"), std::string("1\0", 2)}) {
    TarArchive bad;
    bad.add("1.cls", text);
    bad.add("1.png", png(1));
    CHECK_THAT(error_with(bad), Catch::EndsWith("1.cls: no class, which is one number or name"));
  }
  CHECK_THAT(error_with(archive_of({{1, "0"}})), Catch::Contains("1 class in its archives, at least two are needed"));
  CHECK_THAT(error_with(archive_of({{1, "1"}, {2, "2"}})),
             Catch::EndsWith("train: no picture of class '0'; classes are counted from 0"));
  CHECK_THAT(error_with(archive_of({{1, "0"}, {2, "1"}, {3, "2"}})), Catch::Contains("test: no picture of class '2'"));
  CHECK_THAT(error_with(archive_of({{1, "cat"}, {2, "dog"}})),
             Catch::EndsWith("test/0.tar: s200.png: class '0' is not one of the training set"));
  CHECK_THAT(error_with(TarArchive()), Catch::EndsWith("train: no pictures in its archives"));
  TarArchive broken;
  broken.add("1.png", "no picture");
  broken.add("1.cls", "0");
  broken.add("2.png", png(2));
  broken.add("2.cls", "1");
  CHECK_THAT(error_with(broken), Catch::Contains("0.tar: 1.png: no ") && Catch::Contains("file (10 bytes)"));
}

TEST_CASE("folders without archives are refused, and an archive that has changed since is noticed") {
  const TemporaryFolder root;
  CHECK_THAT(error_of(ErrorKind::data, [&] { open_webdataset(root / "gone"); }), Catch::EndsWith("no such folder"));
  write_text(root / "train/0.tar.gz", "x");
  CHECK_THAT(error_of(ErrorKind::data, [&] { open_webdataset(root.path()); }),
             Catch::Contains("no archives of the split 'train'; expected train/*.tar or train*.tar in it"));
  archive_of({{1, "0"}, {2, "1"}}).write(root / "train/0.tar");
  CHECK_THAT(error_of(ErrorKind::data, [&] { open_webdataset(root.path()); }),
             Catch::Contains("no archives of the split 'test' or 'val'"));
  write_test_set(root.path());
  const DataSplits splits = open_webdataset(root.path());
  fs::resize_file(root / "train/0.tar", 700);
  CHECK_THAT(error_of(ErrorKind::data, [&] { values_in(*splits.train); }), Catch::Contains("train/0.tar"));
  fs::remove(root / "train/0.tar");
  CHECK_THAT(error_of(ErrorKind::data, [&] { values_in(*splits.train); }), Catch::Contains("train/0.tar"));
}
