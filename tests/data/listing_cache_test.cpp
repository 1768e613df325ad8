// Lists of pictures that are kept: when they count, and when the set is listed anew.
#include "data/listing_cache.h"

#include "tests/data/images_on_disk.h"
#include "tests/data/kept_lists.h"
#include "tests/support/catch.h"

#include <fmt/format.h>

#include <chrono>
#include <vector>

using namespace bsq;
using namespace bsq::test;

namespace {

int files_in(const fs::path& folder) {
  return static_cast<int>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("a list that is kept counts until its folder changes, also where its time is put back") {
  const TemporaryFolder root;
  const fs::path set = root / "set", cat = root / "set/train/cat", lists = root / "lists/here";
  write_folders(set);
  const std::vector<Listed> plain = listed(open_folders(set, ""));
  CHECK(plain.size() == 8);
  write_png(root / "other/5.png", plain_picture(4, 4, {9, 9, 9}));
  write_png(root / "other/6.png", plain_picture(4, 4, {9, 9, 9}));
  const auto times = [&] { return std::pair(fs::last_write_time(cat), fs::last_write_time(cat.parent_path())); };
  const auto put_back = [&](const std::pair<fs::file_time_type, fs::file_time_type>& both) {
    fs::last_write_time(cat, both.first);
    fs::last_write_time(cat.parent_path(), both.second);
  };

  CHECK(listed(open_folders(set, lists)) == plain);
  CHECK(ListingCache(lists, "image_folder", set / "train").find(cat) == nullptr);  // it may still change unseen
  grow_old();
  CHECK(listed(open_folders(set, lists)) == plain);
  CHECK(listed(open_folders(set, lists)) == plain);
  forge(lists, "image_folder", set / "train", cat, {{"", joined_names({"0.png"})}, {7}});
  CHECK(listed(open_folders(set, lists)).size() == 7);  // it was not looked into

  SECTION("another picture") {
    const auto before = times();
    write_png(cat / "2.png", plain_picture(4, 4, {9, 9, 9}));
    put_back(before);
    CHECK(listed(open_folders(set, lists)).size() == 9);
  }
  SECTION("another folder in its place") {
    const auto before = times();
    fs::rename(cat, root / "cat");
    fs::rename(root / "other", cat);
    put_back(before);
    CHECK_THAT(listed(open_folders(set, lists))[1].name, Catch::EndsWith("cat/6.png"));
  }
  SECTION("a time") {
    fs::last_write_time(cat, fs::last_write_time(cat));
    CHECK(listed(open_folders(set, lists)) == plain);
  }
  fs::remove_all(set / "train/dog");
  CHECK_THAT(error_of(ErrorKind::data, [&] { open_folders(set, lists); }), Catch::Contains("at least two are needed"));
}

TEST_CASE("a clock that is ahead keeps no list") {
  const TemporaryFolder root;
  write_folders(root / "set");
  const auto ahead = fs::file_time_type::clock::now() + std::chrono::minutes(1);
  fs::last_write_time(root / "set/train/cat", ahead);
  grow_old();
  open_folders(root / "set", root / "lists");
  ListingCache kept(root / "lists", "image_folder", root / "set/train");
  CHECK(kept.find(root / "set/train/cat") == nullptr);
  CHECK(kept.find(root / "set/train/dog") != nullptr);
}

TEST_CASE("a picture that is not as it was listed is named when it is read") {
  const TemporaryFolder root;
  write_folders(root / "set");
  grow_old();
  open_folders(root / "set", root / "lists");
  write_png(root / "set/train/cat/1.png", noise_picture(4, 4, 3));
  const DataSplits splits = open_folders(root / "set", root / "lists");
  std::vector<std::uint8_t> pixels(4 * 4 * 3);
  CHECK_NOTHROW(splits.train->read(0, pixels));
  CHECK_THAT(error_of(ErrorKind::data, [&] { splits.train->read(1, pixels); }),
             Catch::Contains("train/cat/1.png: ") &&
                 Catch::EndsWith("when its folder was listed in data.cache; remove the listings there"));
}

TEST_CASE("a list that cannot be kept is a warning") {
  const TemporaryFolder root;
  write_folders(root / "set");
  write_text(root / "file", "x");
  const std::vector<Listed> plain = listed(open_folders(root / "set", ""));
  for (const fs::path& lists : {root / "file", root / "file/lists", fs::path("/proc/none")}) {
    const DataSplits splits = open_folders(root / "set", lists);
    CHECK(listed(splits) == plain);
    for (const Dataset* set : {splits.train.get(), splits.test.get()}) {
      REQUIRE(set->notes().size() == 1);
      CHECK_THAT(set->notes().front(),
                 Catch::StartsWith(fmt::format("data.cache: {}: cannot create the folder: ", lists.string())) &&
                     Catch::EndsWith("; the set will be listed again next time"));
    }
  }
  open_folders(root / "set", root / "lists");
  const fs::path list = list_of(root / "lists", "test");
  fs::remove(list);
  write_text(list / "in the way", "x");
  const DataSplits splits = open_folders(root / "set", root / "lists");
  CHECK(splits.train->notes().empty());
  REQUIRE(splits.test->notes().size() == 1);
  CHECK_THAT(splits.test->notes().front(), Catch::Contains(list.string() + ": cannot move into place: Is a directory"));
}

TEST_CASE("a list of an archive counts until the archive changes, also where its time is put back") {
  const TemporaryFolder root;
  const fs::path set = root / "set", lists = root / "lists", archive = root / "set/train/0.tar";
  write_archives(set);
  grow_old();
  const DataSplits first = open_archives(set, "");
  const std::vector<Listed> plain = listed(first);
  for (int i = 0; i < 2; ++i) {
    const DataSplits kept = open_archives(set, lists);
    CHECK(listed(kept) == plain);
    CHECK(kept.train->notes() == first.train->notes());
    std::vector<std::uint8_t> pixels(4 * 4 * 3);
    CHECK_NOTHROW(kept.train->read(1, pixels));
  }
  const auto time = fs::last_write_time(archive);
  write_archive(archive, "c", "d");  // as long, and as old
  fs::last_write_time(archive, time);
  CHECK_THAT(open_archives(set, lists).train->name(0), Catch::EndsWith("c.png"));
}

TEST_CASE("a set has one list, by whatever path it is opened, and each kind of set its own") {
  const TemporaryFolder root;
  const fs::path set = root / "set", lists = root / "lists";
  write_folders(set);
  write_archives(set);  // in the same folders
  fs::create_directory_symlink("set", root / "link");
  const fs::path before = fs::current_path();
  grow_old();
  const std::vector<Listed> folders = listed(open_folders(set, ""));
  const std::vector<Listed> archives = listed(open_archives(set, ""));
  CHECK(folders.size() == 8);
  CHECK(archives.size() == 4);
  for (int i = 0; i < 2; ++i) {
    CHECK(listed(open_folders(set, lists)) == folders);
    CHECK(listed(open_archives(set, lists)) == archives);
  }
  CHECK(files_in(lists) == 4);

  const fs::path own = root / "own";
  open_folders(set, own);
  const auto written = fs::last_write_time(list_of(own));
  CHECK(listed(open_folders(root / "lists/../set", own)).size() == 8);
  CHECK(listed(open_folders(root / "link", own)).size() == 8);
  fs::current_path(root.path());
  CHECK(listed(open_folders("set", "own")).size() == 8);
  fs::current_path(before);
  CHECK(files_in(own) == 2);
  CHECK(fs::last_write_time(list_of(own)) == written);  // it served them all
}

TEST_CASE("a link that leads elsewhere has the list of where it leads") {
  const TemporaryFolder root;
  const fs::path lists = root / "lists";
  for (const char* name : {"one", "two"}) write_folders(root / name);
  write_png(root / "two/train/cat/2.png", plain_picture(4, 4, {9, 9, 9}));
  for (const char* part : {"train/dog", "test"})
    fs::last_write_time(root / "two" / part, fs::last_write_time(root / "one" / part));
  const auto lead_to = [&](const char* link, const char* where) {
    fs::remove(root / link);
    fs::create_directory_symlink(where, root / link);
  };
  const auto size = [&](const char* set) { return open_folders(root / set, lists).train->size(); };
  lead_to("set", "one");
  for (const char* split : {"train", "test"}) fs::create_directories(root / "linked" / split);
  for (const char* split : {"train", "test"})
    for (const char* name : {"cat", "dog"})
      lead_to(fmt::format("linked/{}/{}", split, name).c_str(), fmt::format("../../one/{}/{}", split, name).c_str());
  const auto time = fs::last_write_time(root / "linked/train");
  grow_old();
  CHECK(size("set") == 4);
  CHECK(size("set") == 4);
  CHECK(size("linked") == 4);
  lead_to("set", "two");
  lead_to("linked/train/cat", "../../two/train/cat");
  fs::last_write_time(root / "linked/train", time);
  CHECK(size("set") == 5);
  CHECK(size("linked") == 5);
  lead_to("set", "one");
  CHECK(size("set") == 4);
}

TEST_CASE("joined names come back, whatever bytes are in them") {
  const std::vector<std::string> all = {"", "a", "\xff\n", "", "b"};
  CHECK(split_names(joined_names(all)) == all);
  CHECK(split_names(joined_names({}))->empty());
  CHECK_FALSE(split_names("a").has_value());
  CHECK_FALSE(split_names(std::string_view("a\0b", 3)).has_value());
}
