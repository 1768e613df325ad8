// The reader: find version and folder, check every length and every label; later turn planes into RGB pixels, image by
// image.
#include "data/cifar.h"

#include "data/cifar_batch.h"
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
constexpr std::size_t kColors = 3;
static_assert(kPixels * kColors == kCifarImageBytes);

/// Where a version keeps what.
struct VersionFiles {
  const char* folder;  // inside the published archive
  const char* names_file;
  std::vector<std::string> train_files;
  std::string test_file;
};

struct Layout {
  const char* title;
  VersionFiles binary;
  VersionFiles python;
  const char* python_labels;  // keys of the pickles
  const char* python_names;
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
        .binary = {"cifar-10-batches-bin",
                   "batches.meta.txt",
                   {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
                   "test_batch.bin"},
        .python = {"cifar-10-batches-py",
                   "batches.meta",
                   {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"},
                   "test_batch"},
        .python_labels = "labels",
        .python_names = "label_names",
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
      .binary = {"cifar-100-binary", "fine_label_names.txt", {"train.bin"}, "test.bin"},
      .python = {"cifar-100-python", "meta", {"train"}, "test"},
      .python_labels = "fine_labels",
      .python_names = "fine_label_names",
      .train_records = 50000,
      .test_records = 10000,
      .label_bytes = 2,
      .classes = 100,
      .expected = "train.bin with 153,700,000 bytes, test.bin with 30,740,000 bytes",
      .hint = "",
  };
}

/// A version, and the folder that it was found in.
struct Found {
  bool is_python = false;
  fs::path folder;
};

/// Throws Error(data) for the first file that is missing.
Found find_files(const Layout& layout, const fs::path& root) {
  std::error_code ignored;
  if (!fs::is_directory(root, ignored)) fail(ErrorKind::data, "data.root '{}': no such folder", root.string());
  const auto folder_of = [&](const VersionFiles& version) {
    return fs::is_directory(root / version.folder, ignored) ? root / version.folder : root;
  };
  const fs::path binary = folder_of(layout.binary), python = folder_of(layout.python);
  const bool is_python = !fs::exists(binary / layout.binary.train_files.front(), ignored) &&
                         (python != root || fs::is_regular_file(root / layout.python.train_files.front(), ignored));
  const fs::path folder = is_python ? python : binary;
  const VersionFiles& version = is_python ? layout.python : layout.binary;
  std::vector<std::string> files = version.train_files;
  files.push_back(version.test_file);
  for (const std::string& file : files) {
    if (fs::exists(folder / file, ignored)) continue;
    if (is_python)
      fail(ErrorKind::data, "data.root '{}': {} not found beside the other files of {} for Python", folder.string(),
           file, layout.title);
    fail(ErrorKind::data,
         "data.root '{}': {} not found; expected the {} binary version ({}) or {}/ of the Python version{}",
         folder.string(), file, layout.title, layout.expected, layout.python.folder, layout.hint);
  }
  return {is_python, folder};
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

std::vector<std::string> lines_of(const fs::path& path) {
  std::vector<std::string> lines;
  std::ifstream stream(path);
  for (std::string line; std::getline(stream, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

std::vector<std::string> read_class_names(const Layout& layout, const Found& found) {
  const fs::path path = found.folder / (found.is_python ? layout.python : layout.binary).names_file;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return usual_class_names(layout);
  const std::vector<std::string> names =
      found.is_python ? python_class_names(path, layout.python_names) : lines_of(path);
  if (static_cast<int>(names.size()) != layout.classes) {
    fail(ErrorKind::data, "{}: {} class names, expected {}", path.string(), names.size(), layout.classes);
  }
  return names;
}

/// Throws Error(data) unless the file has the records that its split has.
CifarBatch open_records(const Layout& layout, const fs::path& path, std::int64_t records) {
  PosixFile file = PosixFile::open_regular(path, ErrorKind::data);
  const std::int64_t record_bytes = layout.label_bytes + kCifarImageBytes, expected_bytes = records * record_bytes;
  if (file.size_bytes() != expected_bytes) {
    fail(ErrorKind::data, "{}: {} bytes, expected {}; truncated or not the {} binary version", path.string(),
         with_thousands(static_cast<std::uint64_t>(file.size_bytes())),
         with_thousands(static_cast<std::uint64_t>(expected_bytes)), layout.title);
  }
  CifarBatch batch{std::move(file), layout.label_bytes, record_bytes, {}, {}};
  for (std::int64_t i = 0; i < records; ++i) {
    std::array<std::uint8_t, 2> bytes{};
    const std::span<std::uint8_t> label(bytes.data(), static_cast<std::size_t>(layout.label_bytes));
    batch.file.read_at(i * record_bytes, std::as_writable_bytes(label));
    if (layout.label_bytes == 2 && label[0] >= kCoarseClasses)
      fail(ErrorKind::data, "{}: record {}: coarse label {} outside 0..{}", path.string(), i, label[0],
           kCoarseClasses - 1);
    batch.labels.push_back(label.back());
  }
  return batch;
}

class CifarSet final : public Dataset {
 public:
  CifarSet(const Layout& layout, DatasetInfo info, const Found& found, bool is_train)
      : info_(std::move(info)), records_(is_train ? layout.train_records : layout.test_records) {
    const VersionFiles& version = found.is_python ? layout.python : layout.binary;
    for (const std::string& name : is_train ? version.train_files : std::vector{version.test_file}) {
      const fs::path path = found.folder / name;
      batches_.push_back(found.is_python ? open_python_batch(path, layout.python_labels, records_)
                                         : open_records(layout, path, records_));
      for (std::size_t i = 0; i < batches_.back().labels.size(); ++i) {
        const std::int64_t label = batches_.back().labels[i];
        if (label < 0 || label >= layout.classes)
          fail(ErrorKind::data, "{}: record {}: label {} outside 0..{}", path.string(), i, label, layout.classes - 1);
      }
    }
  }

  const DatasetInfo& info() const override { return info_; }
  std::int64_t size() const override { return records_ * static_cast<std::int64_t>(batches_.size()); }
  std::int32_t label(std::int64_t number) const override {
    return static_cast<std::int32_t>(batch_of(number).labels.at(static_cast<std::size_t>(number % records_)));
  }
  void read(std::int64_t number, std::span<std::uint8_t> pixels) const override {
    std::array<std::uint8_t, kCifarImageBytes> planes;
    batch_of(number).read(number % records_, planes);
    for (std::size_t pixel = 0; pixel < kPixels; ++pixel) {
      for (std::size_t channel = 0; channel < kColors; ++channel) {
        pixels[pixel * kColors + channel] = planes[channel * kPixels + pixel];
      }
    }
  }

 private:
  const CifarBatch& batch_of(std::int64_t number) const {
    return batches_.at(static_cast<std::size_t>(number / records_));
  }

  DatasetInfo info_;
  std::int64_t records_;  // of each file
  std::vector<CifarBatch> batches_;
};

KnownSizes sizes_of(CifarVersion version) {
  const Layout layout = layout_of(version);
  return {.info = {kSide, kSide, usual_class_names(layout)},
          .train = layout.train_records * static_cast<std::int64_t>(layout.binary.train_files.size()),
          .test = layout.test_records};
}

}  // namespace

DataSplits open_cifar(CifarVersion version, const fs::path& root) {
  const Layout layout = layout_of(version);
  const Found found = find_files(layout, root);
  const DatasetInfo info{kSide, kSide, read_class_names(layout, found)};
  return {std::make_unique<CifarSet>(layout, info, found, /*is_train=*/true),
          std::make_unique<CifarSet>(layout, info, found, /*is_train=*/false)};
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
