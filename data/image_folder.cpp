// All names are listed first: that is cheap, and most mistakes show there.
#include "data/image_folder.h"

#include "data/files.h"
#include "data/image_file.h"
#include "engine/base/text.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <cctype>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

namespace bsq {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPattern = "<class>/*.{jpg,jpeg,png}";

/// The names and labels of one split.
struct Listing {
  fs::path folder;
  std::vector<std::string> class_names;
  std::vector<fs::path> files;       // [images], in set order
  std::vector<std::int32_t> labels;  // [images]
};

/// Names of all entries that are not hidden, in byte order.
std::vector<std::string> sorted_names(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code why;
  for (fs::directory_iterator entry(folder, why), end; !why && entry != end; entry.increment(why)) {
    std::string name = entry->path().filename().string();
    if (name.front() != '.') names.push_back(std::move(name));
  }
  if (why) fail(ErrorKind::data, "{}: cannot be read: {}", folder.string(), why.message());
  std::sort(names.begin(), names.end());
  return names;
}

bool has_image_extension(const std::string& name) {
  std::string extension = fs::path(name).extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

void list_class(Listing& listing, const std::string& class_name, int per_class) {
  const auto label = static_cast<std::int32_t>(listing.class_names.size());
  const fs::path folder = listing.folder / class_name;
  int found = 0;
  for (const std::string& name : sorted_names(folder)) {
    if (!has_image_extension(name)) continue;
    listing.files.push_back(folder / name);
    listing.labels.push_back(label);
    if (++found == per_class) break;
  }
  if (found == 0) fail(ErrorKind::data, "{}: no .jpg, .jpeg or .png files in this class", folder.string());
  if (found < per_class) {
    fail(ErrorKind::data, "{}: {} images, but {} of each class are asked for", folder.string(), found, per_class);
  }
  listing.class_names.push_back(class_name);
}

Listing list_split(const fs::path& folder, int per_class) {
  Listing listing;
  listing.folder = folder;
  for (const std::string& name : sorted_names(folder)) {
    std::error_code ignored;
    if (fs::is_directory(folder / name, ignored)) list_class(listing, name, per_class);
  }
  const std::size_t classes = listing.class_names.size();
  if (classes < 2) {
    fail(ErrorKind::data, "{}: {} class folder{}, at least two are needed; expected {}/{}", folder.string(), classes,
         classes == 1 ? "" : "s", folder.filename().string(), kPattern);
  }
  return listing;
}

/// The first of `names` that is a folder.
fs::path find_split(const fs::path& root, const std::vector<std::string>& names) {
  std::error_code ignored;
  for (const std::string& name : names) {
    if (fs::is_directory(root / name, ignored)) return root / name;
  }
  fail(ErrorKind::data, "data.root '{}': no folder '{}'; expected {}/{} in it", root.string(),
       fmt::join(names, "' or '"), names.front(), kPattern);
}

void check_same_classes(const Listing& train, const Listing& test) {
  const auto first_missing = [](const std::vector<std::string>& from, const std::vector<std::string>& in) {
    const auto found = std::find_if(from.begin(), from.end(), [&](const std::string& name) {
      return !std::binary_search(in.begin(), in.end(), name);
    });
    return found == from.end() ? std::string() : *found;
  };
  if (const std::string name = first_missing(train.class_names, test.class_names); !name.empty()) {
    fail(ErrorKind::data, "{}: class '{}' of {} is missing", test.folder.string(), name, train.folder.string());
  }
  if (const std::string name = first_missing(test.class_names, train.class_names); !name.empty()) {
    fail(ErrorKind::data, "{}: class '{}' is not one of {}", test.folder.string(), name, train.folder.string());
  }
}

/// Refuses sets that memory cannot hold, before taking any.
void check_fits(const fs::path& root, ImageSize size, std::size_t images) {
  const double set_gib = static_cast<double>(images) * size.height * size.width * DatasetInfo::channels / (1 << 30);
  const double machine_gib =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 30);
  if (set_gib <= machine_gib) return;
  fail(ErrorKind::data,
       "data.root '{}': {} images of {}x{} pixels take {:.1f} GiB, this machine has {:.1f}; make them "
       "smaller or lower data.train_per_class",
       root.string(), with_thousands(images), size.width, size.height, set_gib, machine_gib);
}

class ImageFolder final : public Dataset {
 public:
  ImageFolder(Listing listing, ImageSize size)
      : info_{size.height, size.width, std::move(listing.class_names)},
        files_(std::move(listing.files)),
        labels_(std::move(listing.labels)) {}

  const DatasetInfo& info() const override { return info_; }
  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }
  std::int32_t label(std::int64_t number) const override { return labels_.at(static_cast<std::size_t>(number)); }
  void read(std::int64_t number, std::span<std::uint8_t> pixels) const override {
    read_image(files_.at(static_cast<std::size_t>(number)), {info_.height, info_.width}, pixels.data());
  }

 private:
  DatasetInfo info_;
  std::vector<fs::path> files_;
  std::vector<std::int32_t> labels_;
};

}  // namespace

DataSplits open_image_folder(const fs::path& root, const ImageFolderLimits& limits) {
  std::error_code ignored;
  if (!fs::is_directory(root, ignored)) fail(ErrorKind::data, "data.root '{}': no such folder", root.string());
  Listing train = list_split(find_split(root, {"train"}), limits.train_per_class);
  Listing test = list_split(find_split(root, {"test", "val"}), limits.test_per_class);
  check_same_classes(train, test);

  const ImageSize size = read_image_size(train.files.front());
  check_fits(root, size, train.files.size() + test.files.size());
  return {std::make_unique<ImageFolder>(std::move(train), size), std::make_unique<ImageFolder>(std::move(test), size)};
}

void add_image_folder_keys(ConfigSchema& schema) {
  need_root(schema, "image_folder", true);
}

DataSplits open_image_folder(const Config& config) {
  return open_image_folder(config.data.root, {config.data.train_per_class, config.data.test_per_class});
}

std::string describe_image_folder(const Config& config) {
  return " " + config.data.root;
}

}  // namespace bsq
