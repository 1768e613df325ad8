#include "tests/data/kept_lists.h"

#include "data/image_folder.h"
#include "data/webdataset.h"
#include "tests/data/images_on_disk.h"
#include "tests/support/catch.h"
#include "tests/support/tar_archive.h"

#include <chrono>
#include <thread>
#include <utility>

namespace bsq::test {

void grow_old() {
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
}

void write_folders(const fs::path& root) {
  for (const char* split : {"train", "test"})
    for (const char* name : {"cat", "dog"})
      for (const char* file : {"0.png", "1.png"}) write_png(root / split / name / file, plain_picture(4, 4, {9, 9, 9}));
}

void write_archive(const fs::path& file, const std::string& cat, const std::string& dog) {
  write_png(file.parent_path() / "p.png", plain_picture(4, 4, {9, 9, 9}));
  const std::vector<std::uint8_t> png = read_bytes(file.parent_path() / "p.png");
  fs::remove(file.parent_path() / "p.png");
  TarArchive archive;
  for (const std::string& name : {cat, dog}) {
    archive.add(name + ".png", {png.begin(), png.end()});
    archive.add(name + ".txt", "a caption");
    archive.add(name + ".cls", name == cat ? "cat" : "dog");
  }
  archive.write(file);
}

void write_archives(const fs::path& root) {
  for (const char* split : {"train", "test"}) write_archive(root / split / "0.tar", "a", "b");
}

DataSplits open_folders(const fs::path& root, const fs::path& cache) {
  return open_image_folder(root, {}, 0, {}, {.cache = cache.string()});
}

DataSplits open_archives(const fs::path& root, const fs::path& cache) {
  return open_webdataset(root, 0, {}, {.cache = cache.string()});
}

std::vector<Listed> listed(const DataSplits& splits) {
  std::vector<Listed> all;
  for (const Dataset* set : {splits.train.get(), splits.test.get()})
    for (std::int64_t i = 0; i < set->size(); ++i) all.push_back({set->name(i), set->identity(i), set->label(i)});
  return all;
}

fs::path list_of(const fs::path& cache, const std::string& split) {
  for (const auto& entry : fs::directory_iterator(cache))
    if (entry.path().filename().string().starts_with(split + "-")) return entry.path();
  FAIL("nothing was kept");
  return {};
}

void forge(const fs::path& cache, std::string_view kind, const fs::path& split, const fs::path& path, KeptList list) {
  ListingCache lists(cache, kind, split);
  if (kind == "image_folder")
    for (const fs::path& kept : {split, split / "cat", split / "dog"})
      if (kept != path) CHECK(lists.find(kept) != nullptr);
  lists.find(path);
  lists.keep(path, std::move(list));
  REQUIRE(lists.save().empty());
  REQUIRE(ListingCache(cache, kind, split).find(path) != nullptr);
}

}  // namespace bsq::test
