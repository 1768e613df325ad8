// The binary files of CIFAR: the names of classes, then bytes that stand somewhere in the files of images, all others
// of which are zero. Files of this size are made once, and what an input has written is taken back.
#include "data/cifar.h"
#include "tests/fuzz/foreign_bytes.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>

namespace {

using namespace bsq;
namespace fs = std::filesystem;

constexpr std::int64_t kImageBytes = 32 * 32 * 3;
constexpr std::size_t kEntryBytes = 5;  // of an edit: which file, where (3), what

struct Files {
  CifarVersion version;
  std::string folder;
  std::string names;
  std::map<std::string, std::int64_t> sizes;  // in bytes
};

const std::array<Files, 2>& versions() {
  static const std::array<Files, 2> both = {{
      {CifarVersion::cifar10,
       "cifar-10-batches-bin",
       "batches.meta.txt",
       {{"data_batch_1.bin", 10'000 * (kImageBytes + 1)},
        {"data_batch_2.bin", 10'000 * (kImageBytes + 1)},
        {"data_batch_3.bin", 10'000 * (kImageBytes + 1)},
        {"data_batch_4.bin", 10'000 * (kImageBytes + 1)},
        {"data_batch_5.bin", 10'000 * (kImageBytes + 1)},
        {"test_batch.bin", 10'000 * (kImageBytes + 1)}}},
      {CifarVersion::cifar100,
       "cifar-100-binary",
       "fine_label_names.txt",
       {{"train.bin", 50'000 * (kImageBytes + 2)}, {"test.bin", 10'000 * (kImageBytes + 2)}}},
  }};
  return both;
}

/// Files without content take no memory.
void make_files() {
  for (const Files& files : versions()) {
    fs::create_directory(fuzz::scratch() / files.folder);
    for (const auto& [name, bytes] : files.sizes)
      fs::resize_file(fuzz::put(files.folder + "/" + name, ""), static_cast<std::uintmax_t>(bytes));
  }
}

void write_at(const fs::path& path, std::int64_t place, std::uint8_t value) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  fuzz::must_hold(file >= 0 && ::pwrite(file, &value, 1, place) == 1, "the file of images can be written");
  ::close(file);
}

struct Edit {
  fs::path file;
  std::int64_t place = 0;
  std::uint8_t value = 0;
  std::int64_t cut = -1;  // the length that the file gets; -1: its own
};

/// Entries say a file by number, a place and a value. From 128 on the place is that of a label; 127 gives the file the
/// place as its length.
std::vector<Edit> edits_of(const Files& files, std::string_view bytes) {
  std::vector<Edit> edits;
  const auto byte = [&](std::size_t i) { return std::int64_t{static_cast<std::uint8_t>(bytes[i])}; };
  for (std::size_t i = 0; i + kEntryBytes <= bytes.size() && edits.size() < 64; i += kEntryBytes) {
    const auto& [name, size] = *std::next(files.sizes.begin(), byte(i) % std::ssize(files.sizes));
    const std::int64_t place = byte(i + 1) | byte(i + 2) << 8 | byte(i + 3) << 16;
    const std::int64_t record = files.version == CifarVersion::cifar10 ? kImageBytes + 1 : kImageBytes + 2;
    Edit edit{fuzz::scratch() / files.folder / name, place % size, static_cast<std::uint8_t>(byte(i + 4))};
    if (byte(i) >= 128) edit.place = place % (size / record) * record;  // a label
    if (byte(i) == 127) edit.cut = place;
    edits.push_back(edit);
  }
  return edits;
}

void read_all(const Files& files) {
  const DataSplits splits = open_cifar(files.version, fuzz::scratch());
  validate(splits, "cifar");
  std::array<std::uint8_t, kImageBytes> pixels;
  for (const Dataset* set : {splits.train.get(), splits.test.get()})
    for (const std::int64_t number : {std::int64_t{0}, set->size() - 1}) set->read(number, pixels);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool is_made = (make_files(), true);
  if (size == 0 || !is_made) return 0;
  const Files& files = versions()[data[0] % 2];
  const std::vector<std::string_view> parts = fuzz::pieces(fuzz::text_of(data + 1, size - 1), 2);
  const fs::path names = fuzz::scratch() / files.folder / files.names;
  if (parts[0].empty())
    fs::remove(names);
  else
    fuzz::put(files.folder + "/" + files.names, parts[0]);
  const std::vector<Edit> edits = edits_of(files, parts[1]);
  for (const Edit& edit : edits) {
    write_at(edit.file, edit.place, edit.value);
    if (edit.cut >= 0) fs::resize_file(edit.file, static_cast<std::uintmax_t>(edit.cut));
  }
  fuzz::ends_well({ErrorKind::data}, [&] { read_all(files); });
  for (const Edit& edit : edits) {
    fs::resize_file(edit.file, static_cast<std::uintmax_t>(files.sizes.at(edit.file.filename().string())));
    write_at(edit.file, edit.place, 0);
  }
  return 0;
}
