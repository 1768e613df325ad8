// Lists of pictures that are kept: when they count, and when the set is listed anew.
#include "data/listing_cache.h"

#include "data/image_folder.h"
#include "data/webdataset.h"
#include "tests/data/images_on_disk.h"
#include "tests/support/catch.h"
#include "tests/support/tar_archive.h"

#include <fmt/format.h>

#include <chrono>
#include <vector>

using namespace bsq;
using namespace bsq::test;

namespace {

const fs::file_time_type kLongAgo = fs::file_time_type::clock::now() - std::chrono::hours(1);

/// Two classes, cat and dog, with two pictures each in both splits, in folders that have been so for long.
void write_folders(const fs::path& root) {
  for (const char* split : {"train", "test"}) {
    for (const char* name : {"cat", "dog"}) {
      for (const char* file : {"0.png", "1.png"}) write_png(root / split / name / file, plain_picture(4, 4, {9, 9, 9}));
      fs::last_write_time(root / split / name, kLongAgo);
    }
    fs::last_write_time(root / split, kLongAgo);
  }
}

DataSplits open_folders(const fs::path& root, const fs::path& cache) {
  return open_image_folder(root / "set", {}, 0, {}, {.cache = cache.string()});
}

/// Names and identities of a set.
std::vector<std::pair<std::string, std::uint64_t>> listed(const Dataset& set) {
  std::vector<std::pair<std::string, std::uint64_t>> all;
  for (std::int64_t i = 0; i < set.size(); ++i) all.emplace_back(set.name(i), set.identity(i));
  return all;
}

/// The file of the training set.
fs::path training_list(const fs::path& cache) {
  for (const auto& entry : fs::directory_iterator(cache))
    if (entry.path().filename().string().starts_with("train-")) return entry.path();
  FAIL("nothing was kept");
  return {};
}

}  // namespace

TEST_CASE("a list of a folder that is kept counts until the folder changes") {
  const TemporaryFolder root;
  write_folders(root / "set");
  const auto plain = listed(*open_folders(root.path(), "").train);
  CHECK(plain.size() == 4);
  CHECK(listed(*open_folders(root.path(), root / "lists/here").train) == plain);
  CHECK(listed(*open_folders(root.path(), root / "lists/here").train) == plain);

  // A picture that nobody notices, since the folder says that nothing has changed: so it is not looked into.
  write_png(root / "set/train/dog/2.png", plain_picture(4, 4, {9, 9, 9}));
  fs::last_write_time(root / "set/train/dog", kLongAgo);
  CHECK(listed(*open_folders(root.path(), root / "lists/here").train) == plain);
  fs::last_write_time(root / "set/train/dog", kLongAgo + std::chrono::seconds(1));
  CHECK(listed(*open_folders(root.path(), root / "lists/here").train).size() == 5);
  CHECK(listed(*open_folders(root.path(), root / "lists/here").train).size() == 5);

  fs::remove_all(root / "set/train/dog");
  CHECK_THAT(error_of(ErrorKind::data, [&] { open_folders(root.path(), root / "lists/here"); }),
             Catch::Contains("at least two are needed"));
}

TEST_CASE("a folder that has just changed may change again with the same time, and is listed again") {
  const TemporaryFolder root;
  write_folders(root / "set");
  const auto now = fs::file_time_type::clock::now() + std::chrono::minutes(1);  // some clocks of files are ahead
  fs::last_write_time(root / "set/train/cat", now);
  CHECK(open_folders(root.path(), root / "lists").train->size() == 4);
  write_png(root / "set/train/cat/2.png", plain_picture(4, 4, {9, 9, 9}));
  fs::last_write_time(root / "set/train/cat", now);
  CHECK(open_folders(root.path(), root / "lists").train->size() == 5);
}

TEST_CASE("a picture that is not as it was listed is named when it is read") {
  const TemporaryFolder root;
  write_folders(root / "set");
  open_folders(root.path(), root / "lists");
  const auto time = fs::last_write_time(root / "set/train/cat");
  write_png(root / "set/train/cat/1.png", noise_picture(4, 4, 3));
  fs::last_write_time(root / "set/train/cat", time);
  const DataSplits splits = open_folders(root.path(), root / "lists");
  std::vector<std::uint8_t> pixels(4 * 4 * 3);
  CHECK_NOTHROW(splits.train->read(0, pixels));
  CHECK_THAT(error_of(ErrorKind::data, [&] { splits.train->read(1, pixels); }),
             Catch::Contains("train/cat/1.png: ") &&
                 Catch::EndsWith("when its folder was listed in data.cache; remove the listings there"));
}

TEST_CASE("a list that is damaged counts as none") {
  const TemporaryFolder root;
  write_folders(root / "set");
  const auto plain = listed(*open_folders(root.path(), root / "lists").train);
  const fs::path list = training_list(root / "lists");
  const std::vector<std::uint8_t> whole = read_bytes(list);
  for (const std::size_t length : {std::size_t{0}, std::size_t{7}, std::size_t{8}, whole.size() / 2}) {
    write_bytes(list, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)});
    CHECK(listed(*open_folders(root.path(), root / "lists").train) == plain);
    CHECK(read_bytes(list) == whole);
  }
  for (std::size_t place = 0; place < whole.size(); place += 11) {
    std::vector<std::uint8_t> bent = whole;
    bent[place] ^= 4;
    write_bytes(list, bent);
    CHECK(listed(*open_folders(root.path(), root / "lists").train) == plain);
  }
}

TEST_CASE("a list that cannot be kept is a warning, and its folder must be one") {
  const TemporaryFolder root;
  write_folders(root / "set");
  ListingCache cache(root / "lists", root / "set/train");
  cache.get(root / "set/train", [] { return nlohmann::json("x"); });
  fs::remove_all(root / "lists");
  const std::vector<std::string> notes = cache.save();
  REQUIRE(notes.size() == 1);
  CHECK_THAT(notes.front(), Catch::EndsWith("; the set will be listed again next time"));

  write_text(root / "file", "x");
  CHECK_THAT(error_of(ErrorKind::data, [&] { open_folders(root.path(), root / "file"); }),
             Catch::Contains(fmt::format("data.cache '{}': cannot be made: ", (root / "file").string())) &&
                 Catch::EndsWith("; name another folder, or leave it out"));
}

TEST_CASE("lists of archives are kept as those of folders") {
  const TemporaryFolder root;
  write_png(root / "p.png", plain_picture(4, 4, {9, 9, 9}));
  const std::vector<std::uint8_t> png = read_bytes(root / "p.png");
  const auto put = [&](const fs::path& file, const std::string& first, const std::string& second) {
    TarArchive archive;
    for (const std::string& name : {first, second}) {
      archive.add(name + ".png", {png.begin(), png.end()});
      archive.add(name + ".txt", "a caption");
      archive.add(name + ".cls", name == first ? "cat" : "dog");
    }
    archive.write(file);
    fs::last_write_time(file, kLongAgo);
  };
  for (const char* split : {"train", "test"}) put(root / "set" / split / "0.tar", "a", "b");
  const auto open = [&](const std::string& cache) { return open_webdataset(root / "set", 0, {}, {.cache = cache}); };
  const DataSplits plain = open("");
  for (int i = 0; i < 2; ++i) {
    const DataSplits kept = open((root / "lists").string());
    CHECK(listed(*kept.train) == listed(*plain.train));
    CHECK(kept.train->notes() == plain.train->notes());
    CHECK(kept.train->label(1) == 1);
    std::vector<std::uint8_t> pixels(4 * 4 * 3);
    CHECK_NOTHROW(kept.train->read(1, pixels));
  }
  put(root / "set/train/0.tar", "c", "d");  // as long, and as old
  CHECK_THAT(open((root / "lists").string()).train->name(0), Catch::EndsWith("a.png"));
  fs::last_write_time(root / "set/train/0.tar", kLongAgo + std::chrono::seconds(1));
  CHECK_THAT(open((root / "lists").string()).train->name(0), Catch::EndsWith("c.png"));
}

TEST_CASE("joined names come back, whatever bytes are in them") {
  const std::vector<std::string> names = {"", "a", "\xff\n", "", "b"};
  CHECK(split_names(joined_names(names)) == names);
  CHECK(split_names(joined_names({})).empty());
}
