// The reader: find the folder, check every length before reading, check every label, turn planes into RGB pixels.
#include "data/cifar.h"

#include "data/files.h"
#include "kernels/base/error.h"

#include <fmt/format.h>

#include <fstream>
#include <string>
#include <vector>

namespace bsq {
namespace {

namespace fs = std::filesystem;

constexpr int kSide = 32;
constexpr int kPixels = kSide * kSide;
constexpr int kImageBytes = kPixels * ImageSet::channels;

struct Layout {
  const char* title;
  const char* folder;       // inside the published archive
  const char* python_file;  // what people have who took the Python version
  const char* names_file;
  std::vector<std::string> train_files;
  std::string test_file;
  std::int64_t train_records;  // of each training file
  std::int64_t test_records;
  int label_bytes;  // the last one is the label used
  int classes;
  const char* expected;  // the files in words
  const char* hint;      // where they come from
};

constexpr int kCoarseClasses = 20;

Layout layout_of(CifarVersion version) {
  if (version == CifarVersion::cifar10) {
    return {
        .title = "CIFAR-10",
        .folder = "cifar-10-batches-bin",
        .python_file = "data_batch_1",
        .names_file = "batches.meta.txt",
        .train_files = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                        "data_batch_5.bin"},
        .test_file = "test_batch.bin",
        .train_records = 10000,
        .test_records = 10000,
        .label_bytes = 1,
        .classes = 10,
        .expected = "6 files, 30,730,000 bytes each",
        .hint = ", see tools/get_cifar10.sh",
    };
  }
  return {
      .title = "CIFAR-100",
      .folder = "cifar-100-binary",
      .python_file = "train",
      .names_file = "fine_label_names.txt",
      .train_files = {"train.bin"},
      .test_file = "test.bin",
      .train_records = 50000,
      .test_records = 10000,
      .label_bytes = 2,
      .classes = 100,
      .expected = "train.bin with 153,700,000 bytes, test.bin with 30,740,000 bytes",
      .hint = "",
  };
}

/// The folder that holds the files; complains about the first file that is missing there.
fs::path find_folder(const Layout& layout, const fs::path& root) {
  std::error_code ignored;
  if (!fs::is_directory(root, ignored)) fail(ErrorKind::data, "data.root '{}': no such folder", root.string());
  const fs::path folder = fs::is_directory(root / layout.folder, ignored) ? root / layout.folder : root;

  std::vector<std::string> files = layout.train_files;
  files.push_back(layout.test_file);
  for (const std::string& file : files) {
    if (fs::exists(folder / file, ignored)) continue;
    const bool is_python = fs::exists(folder / layout.python_file, ignored);
    fail(ErrorKind::data, "data.root '{}': {} not found; expected the {} binary version ({}){}{}", folder.string(),
         file, layout.title, layout.expected, layout.hint, is_python ? "; this folder holds the Python version" : "");
  }
  return folder;
}

std::vector<std::string> read_class_names(const Layout& layout, const fs::path& folder) {
  const fs::path path = folder / layout.names_file;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    if (layout.classes == 10) {
      return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
    }
    std::vector<std::string> numbered;
    for (int i = 0; i < layout.classes; ++i) numbered.push_back(fmt::format("class_{:02}", i));
    return numbered;
  }
  std::vector<std::string> names;
  std::ifstream stream(path);
  for (std::string line; std::getline(stream, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  if (static_cast<int>(names.size()) != layout.classes) {
    fail(ErrorKind::data, "{}: {} class names, expected {}", path.string(), names.size(), layout.classes);
  }
  return names;
}

/// Appends the records of one file to `set`.
void append_file(const Layout& layout, const fs::path& path, std::int64_t records, ImageSet& set) {
  const std::size_t record_bytes = static_cast<std::size_t>(layout.label_bytes + kImageBytes);
  const std::size_t expected_bytes = static_cast<std::size_t>(records) * record_bytes;
  const std::uintmax_t size_bytes = file_size_of(path);
  if (size_bytes != expected_bytes) {
    fail(ErrorKind::data, "{}: {} bytes, expected {}; truncated or not the {} binary version", path.string(),
         group_digits(size_bytes), group_digits(expected_bytes), layout.title);
  }
  const std::vector<std::uint8_t> bytes = read_file(path);

  for (std::int64_t i = 0; i < records; ++i) {
    const std::uint8_t* label = &bytes[static_cast<std::size_t>(i) * record_bytes];
    if (layout.label_bytes == 2 && label[0] >= kCoarseClasses) {
      fail(ErrorKind::data, "{}: record {}: coarse label {} outside 0..{}", path.string(), i, label[0],
           kCoarseClasses - 1);
    }
    const int used = label[layout.label_bytes - 1];
    if (used >= layout.classes) {
      fail(ErrorKind::data, "{}: record {}: label {} outside 0..{}", path.string(), i, used, layout.classes - 1);
    }
    set.labels.push_back(used);
  }

  const std::size_t first_byte = set.pixels.size();
  set.pixels.resize(first_byte + static_cast<std::size_t>(records) * kImageBytes);
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < records; ++i) {
    const std::uint8_t* planes = &bytes[static_cast<std::size_t>(i) * record_bytes] + layout.label_bytes;
    std::uint8_t* image = &set.pixels[first_byte + static_cast<std::size_t>(i) * kImageBytes];
    for (int pixel = 0; pixel < kPixels; ++pixel) {
      for (int channel = 0; channel < ImageSet::channels; ++channel) {
        image[pixel * ImageSet::channels + channel] = planes[channel * kPixels + pixel];
      }
    }
  }
}

ImageSet empty_set(const std::vector<std::string>& class_names, std::int64_t records) {
  ImageSet set;
  set.height = kSide;
  set.width = kSide;
  set.class_names = class_names;
  set.labels.reserve(static_cast<std::size_t>(records));
  set.pixels.reserve(static_cast<std::size_t>(records) * kImageBytes);
  return set;
}

}  // namespace

DataSets load_cifar(CifarVersion version, const fs::path& root) {
  const Layout layout = layout_of(version);
  const fs::path folder = find_folder(layout, root);
  const std::vector<std::string> names = read_class_names(layout, folder);

  const auto train_files = static_cast<std::int64_t>(layout.train_files.size());
  DataSets sets{empty_set(names, train_files * layout.train_records), empty_set(names, layout.test_records)};
  for (const std::string& file : layout.train_files) {
    append_file(layout, folder / file, layout.train_records, sets.train);
  }
  append_file(layout, folder / layout.test_file, layout.test_records, sets.test);
  return sets;
}

}  // namespace bsq
