// Files of data.cache: what follows the title and the hash that they should have; or lists in the place of those of a
// folder or an archive, kept as they would be. The set that they are of is always the same, and can be opened.
#include "data/image_folder.h"
#include "data/listing_cache.h"
#include "data/webdataset.h"
#include "kernels/base/hash.h"
#include "tests/fuzz/foreign_bytes.h"
#include "tests/support/tar_archive.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <span>
#include <thread>

namespace {

using namespace bsq;
namespace fs = std::filesystem;

using Open = DataSplits (*)(const SplitNames& names);

fs::path set_folder() {
  return fuzz::scratch() / "set";
}

/// Of 1x1 pixels, whatever the archive or the folder says.
DataSplits open_folders(const SplitNames& names) {
  return open_image_folder(set_folder(), {}, 1, {}, names);
}

DataSplits open_archives(const SplitNames& names) {
  return open_webdataset(set_folder(), 1, {}, names);
}

std::vector<std::string> names_in(const DataSplits& splits) {
  std::vector<std::string> names;
  for (const Dataset* set : {splits.train.get(), splits.test.get()})
    for (std::int64_t i = 0; i < set->size(); ++i) names.push_back(set->name(i));
  return names;
}

fs::path kept_in(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().starts_with("train-")) return entry.path();
  fuzz::must_hold(false, "lists are kept");
  return {};
}

/// The set, and what is known of it.
struct Known {
  fs::path cache = fuzz::scratch() / "lists";
  std::vector<std::string> names;  // of the folders
  fs::path file;                   // of their training split
  std::string title;               // with which its content begins

  Known() {
    bsq::test::TarArchive archive;
    for (const char* name : {"cat", "dog"}) {
      archive.add(std::string(name) + "0.bmp", "none");
      archive.add(std::string(name) + "0.cls", name);
      for (const char* split : {"set/train/", "set/test/"}) {
        fs::create_directories(fuzz::scratch() / split / name);
        for (const char* file_name : {"/0.bmp", "/1.bmp"}) fuzz::put(std::string(split) + name + file_name, "none");
      }
    }
    for (const char* split : {"train", "test"}) archive.write(set_folder() / split / "0.tar");
    std::this_thread::sleep_for(std::chrono::milliseconds(2100));  // no lists are kept of what has just changed
    names = names_in(open_folders({.cache = cache.string()}));
    file = kept_in(cache);
    std::ifstream stream(file, std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(stream), {});
    std::int64_t length = 0;
    std::memcpy(&length, bytes.data() + 8, sizeof(length));
    title = bytes.substr(8, 8 + static_cast<std::size_t>(length));
  }
};

void read_file_of_lists(const Known& known, std::string_view entries) {
  const std::string content = known.title + std::string(entries);
  const std::uint64_t hash =
      mix_bytes(mix_word(kEmptyHash, content.size()), std::as_bytes(std::span(std::string_view(content))));
  fuzz::put("lists/" + known.file.filename().string(),
            std::string(reinterpret_cast<const char*>(&hash), sizeof(hash)) + content);
  fuzz::must_hold(names_in(open_folders({.cache = known.cache.string()})) == known.names,
                  "a list counts only of what has its times and its place on the disk");
}

/// Lines are names, an empty one alone is none; those of the last piece are numbers.
KeptList list_of(std::string_view bytes, std::size_t texts) {
  KeptList list;
  std::vector<std::string_view> parts = fuzz::pieces(bytes, texts + 1);
  for (std::size_t i = 0; i < texts; ++i) {
    list.texts.emplace_back(parts[i] == "\n" ? "" : parts[i]);
    std::ranges::replace(list.texts.back(), '\n', '\0');
  }
  const std::string_view numbers = parts.back();
  for (const char *place = numbers.data(), *end = place + numbers.size(); place != end;) {
    std::int64_t number = 0;
    const auto [behind, code] = std::from_chars(place, end, number);
    if (code == std::errc()) list.numbers.push_back(number);
    place = behind == place ? place + 1 : behind;
  }
  return list;
}

/// Every picture is of a class and in the set, and reading it ends well.
void read_all(const Dataset& set) {
  std::vector<std::uint8_t> pixels(set.info().image_bytes());
  for (std::int64_t i = 0; i < set.size(); ++i) {
    fuzz::must_hold(set.label(i) >= 0 && set.label(i) < set.info().num_classes(), "a label is one of a class");
    fuzz::must_hold(set.name(i).starts_with(set_folder().string() + "/"), "pictures lie in the set");
    fuzz::ends_well({ErrorKind::data}, [&] { set.read(i, pixels); });
  }
}

void read_lists(const Known& known, const char* kind, const fs::path& path, KeptList list, Open open) {
  ListingCache lists(known.cache, kind, set_folder() / "train");
  lists.find(path);
  lists.keep(path, std::move(list));
  fuzz::must_hold(lists.save().empty(), "lists can be written");
  const bool is_opened = fuzz::ends_well({ErrorKind::data}, [&] {
    const DataSplits splits = open({.cache = known.cache.string()});
    for (const std::string& name : names_in(splits))
      fuzz::must_hold(open != &open_folders || name.find("/.") == std::string::npos, "no name leads out of its folder");
    read_all(*splits.train);
  });
  fuzz::must_hold(is_opened, "lists do not keep a set from being opened");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Known known;
  if (size == 0) return 0;
  const std::string_view rest = fuzz::text_of(data + 1, size - 1);
  switch (data[0] % 3) {
    case 0: read_file_of_lists(known, rest); break;
    case 1: read_lists(known, "image_folder", set_folder() / "train/cat", list_of(rest, 2), open_folders); break;
    default: read_lists(known, "webdataset", set_folder() / "train/0.tar", list_of(rest, 3), open_archives);
  }
  return 0;
}
