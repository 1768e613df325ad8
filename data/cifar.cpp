// The reader: find the folder, check every length and every label; later turn planes into RGB pixels, image by image.
#include "data/cifar.h"

#include "data/files.h"
#include "engine/base/text.h"
#include "engine/files/posix_file.h"
#include "kernels/base/error.h"

#include <fmt/format.h>

#include <array>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bsq {
namespace {

namespace fs = std::filesystem;

constexpr int kSide = 32;
constexpr int kPixels = kSide * kSide;
constexpr int kImageBytes = kPixels * DatasetInfo::channels;

struct Layout {
  const char* title;
  const char* folder;       // inside the published archive
  const char* python_file;  // a file of the Python version, which people download by mistake
  const char* names_file;
  std::vector<std::string> train_files;
  std::string test_file;
  std::int64_t train_records;  // of each training file
  std::int64_t test_records;
  int label_bytes;  // the last one is the label that counts
  int classes;
  const char* expected;  // the files, in words
  const char* hint;      // where the files come from
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

/// The folder that holds the files. Throws Error(data) for the first file that is missing there.
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

/// The names of classes where no file tells them.
std::vector<std::string> usual_class_names(const Layout& layout) {
  if (layout.classes == 10) {
    return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
  }
  std::vector<std::string> numbered;
  for (int i = 0; i < layout.classes; ++i) numbered.push_back(fmt::format("class_{:02}", i));
  return numbered;
}

std::vector<std::string> read_class_names(const Layout& layout, const fs::path& folder) {
  const fs::path path = folder / layout.names_file;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return usual_class_names(layout);
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

/// Throws Error(data) unless the file has the records that its split has.
PosixFile open_records(const Layout& layout, const fs::path& path, std::int64_t records) {
  PosixFile file = PosixFile::open_regular(path, ErrorKind::data);
  const std::int64_t expected_bytes = records * (layout.label_bytes + kImageBytes);
  if (file.size_bytes() != expected_bytes) {
    fail(ErrorKind::data, "{}: {} bytes, expected {}; truncated or not the {} binary version", path.string(),
         with_thousands(static_cast<std::uint64_t>(file.size_bytes())),
         with_thousands(static_cast<std::uint64_t>(expected_bytes)), layout.title);
  }
  return file;
}

/// The label of record `record` of a file.
std::int32_t read_label(const Layout& layout, const PosixFile& file, std::int64_t record) {
  std::array<std::uint8_t, 2> bytes{};
  const std::span<std::uint8_t> label(bytes.data(), static_cast<std::size_t>(layout.label_bytes));
  file.read_at(record * (layout.label_bytes + kImageBytes), std::as_writable_bytes(label));
  if (layout.label_bytes == 2 && label[0] >= kCoarseClasses) {
    fail(ErrorKind::data, "{}: record {}: coarse label {} outside 0..{}", file.path().string(), record, label[0],
         kCoarseClasses - 1);
  }
  if (label.back() >= layout.classes) {
    fail(ErrorKind::data, "{}: record {}: label {} outside 0..{}", file.path().string(), record, label.back(),
         layout.classes - 1);
  }
  return label.back();
}

class CifarSet final : public Dataset {
 public:
  CifarSet(const Layout& layout, DatasetInfo info, const fs::path& folder, const std::vector<std::string>& files,
           std::int64_t records)
      : info_(std::move(info)), records_(records), label_bytes_(layout.label_bytes) {
    for (const std::string& file : files) {
      files_.push_back(open_records(layout, folder / file, records));
      for (std::int64_t i = 0; i < records; ++i) labels_.push_back(read_label(layout, files_.back(), i));
    }
  }

  const DatasetInfo& info() const override { return info_; }
  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }
  std::int32_t label(std::int64_t number) const override { return labels_.at(static_cast<std::size_t>(number)); }
  void read(std::int64_t number, std::span<std::uint8_t> pixels) const override {
    std::array<std::uint8_t, kImageBytes> planes;
    const std::int64_t record = number % records_;
    files_.at(static_cast<std::size_t>(number / records_))
        .read_at(record * (label_bytes_ + kImageBytes) + label_bytes_, std::as_writable_bytes(std::span(planes)));
    for (std::size_t pixel = 0; pixel < kPixels; ++pixel) {
      for (std::size_t channel = 0; channel < DatasetInfo::channels; ++channel) {
        pixels[pixel * DatasetInfo::channels + channel] = planes[channel * kPixels + pixel];
      }
    }
  }

 private:
  DatasetInfo info_;
  std::int64_t records_;  // of each file
  int label_bytes_;
  std::vector<PosixFile> files_;
  std::vector<std::int32_t> labels_;
};

KnownSizes sizes_of(CifarVersion version) {
  const Layout layout = layout_of(version);
  return {.info = {kSide, kSide, usual_class_names(layout)},
          .train = layout.train_records * static_cast<std::int64_t>(layout.train_files.size()),
          .test = layout.test_records};
}

}  // namespace

DataSplits open_cifar(CifarVersion version, const fs::path& root) {
  const Layout layout = layout_of(version);
  const fs::path folder = find_folder(layout, root);
  const DatasetInfo info{kSide, kSide, read_class_names(layout, folder)};
  return {std::make_unique<CifarSet>(layout, info, folder, layout.train_files, layout.train_records),
          std::make_unique<CifarSet>(layout, info, folder, std::vector{layout.test_file}, layout.test_records)};
}

void add_cifar10_keys(ConfigSchema& schema) {
  need_root(schema, "cifar10", false);
}

void add_cifar100_keys(ConfigSchema& schema) {
  need_root(schema, "cifar100", false);
}

DataSplits open_cifar10(const Config& config) {
  return open_cifar(CifarVersion::cifar10, config.data.root);
}

DataSplits open_cifar100(const Config& config) {
  return open_cifar(CifarVersion::cifar100, config.data.root);
}

KnownSizes cifar10_sizes() {
  return sizes_of(CifarVersion::cifar10);
}

KnownSizes cifar100_sizes() {
  return sizes_of(CifarVersion::cifar100);
}

}  // namespace bsq
