// All names are listed first: that is cheap, and most mistakes show there.
#include "data/image_folder.h"

#include "data/files.h"
#include "data/image_file.h"
#include "data/listing_cache.h"
#include "data/picture_set.h"
#include "engine/base/text.h"
#include "kernels/base/error.h"
#include "kernels/base/hash.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace bsq {
namespace {

namespace fs = std::filesystem;

/// What a split should hold, as messages show it.
std::string pattern() {
  return "<class>/" + image_name_pattern();
}

// Deeper than any honest set; a link to a folder above would go on for ever.
constexpr int kMostLevels = 16;

constexpr std::int64_t kNotLooked = -1;

/// A picture, in little memory: there may be millions.
struct ListedFile {
  std::uint32_t folder = 0;  // its place in the list of folders
  std::string name;
  std::int64_t bytes = kNotLooked;
};

/// The names and labels of one split.
struct Listing {
  fs::path folder;
  std::vector<std::string> class_names;
  std::vector<fs::path> folders;           // those with pictures
  std::vector<ListedFile> files;           // [images], in set order
  std::vector<std::int32_t> labels;        // [images]
  std::map<std::string, int> passed_over;  // how many files of which extension
  fs::path first_passed_over;
  std::vector<std::string> notes;

  fs::path path(std::int64_t number) const {
    const ListedFile& file = files.at(static_cast<std::size_t>(number));
    return folders[file.folder] / file.name;
  }
};

/// The names in a folder that are not hidden, in byte order.
struct Entries {
  std::vector<std::string> folders;  // those behind links included
  std::vector<std::string> files;
  std::vector<std::int64_t> bytes = {};  // of each file; empty: not looked at
};

Entries entries_in(const fs::path& folder) {
  Entries entries;
  std::error_code why, ignored;
  for (fs::directory_iterator entry(folder, why), end; !why && entry != end; entry.increment(why)) {
    std::string name = entry->path().filename().string();
    if (name.front() == '.') continue;
    // The folder mostly tells the kind itself: a set may have millions of files, on a network.
    (entry->is_directory(ignored) ? entries.folders : entries.files).push_back(std::move(name));
  }
  if (why) fail(ErrorKind::data, "{}: cannot be read: {}", folder.string(), why.message());
  std::sort(entries.folders.begin(), entries.folders.end());
  std::sort(entries.files.begin(), entries.files.end());
  return entries;
}

/// kNotLooked of files that cannot be looked at: whoever reads them finds out.
std::vector<std::int64_t> lengths_of(const fs::path& folder, const std::vector<std::string>& files) {
  std::vector<std::int64_t> lengths(files.size());
#pragma omp parallel for schedule(dynamic, 64)
  for (std::size_t i = 0; i < files.size(); ++i) {
    std::error_code none;
    const std::uintmax_t bytes = fs::file_size(folder / files[i], none);
    lengths[i] = none ? kNotLooked : static_cast<std::int64_t>(bytes);
  }
  return lengths;
}

KeptList kept_list_of(const Entries& entries) {
  return {{joined_names(entries.folders), joined_names(entries.files)}, entries.bytes};
}

/// Whether entries_in() may have found these names.
bool can_be_names(const std::vector<std::string>& names) {
  const std::string* last = nullptr;
  for (const std::string& name : names) {
    if (name.empty() || name.front() == '.' || name.find('/') != std::string::npos) return false;
    if (last != nullptr && *last >= name) return false;
    last = &name;
  }
  return true;
}

/// Nothing if it can be of no folder.
std::optional<Entries> entries_of(const KeptList& list) {
  if (list.texts.size() != 2) return std::nullopt;
  auto folders = split_names(list.texts[0]), files = split_names(list.texts[1]);
  if (!folders || !files || !can_be_names(*folders) || !can_be_names(*files)) return std::nullopt;
  const auto is_file = [&](const std::string& name) { return std::ranges::binary_search(*files, name); };
  const auto is_length = [](std::int64_t bytes) { return bytes >= 0 || bytes == kNotLooked; };
  if (std::ranges::any_of(*folders, is_file) || list.numbers.size() != files->size() ||
      !std::ranges::all_of(list.numbers, is_length))
    return std::nullopt;
  return Entries{std::move(*folders), std::move(*files), list.numbers};
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

class SplitLister {
 public:
  SplitLister(const fs::path& folder, const SplitNames& names, int per_class)
      : cache_(names.cache, "image_folder", folder, names.reads_cache), per_class_(per_class) {
    listing_.folder = folder;
  }

  Listing list() {
    const Entries entries = look_into(listing_.folder);
    for (const std::string& name : entries.folders) list_class(name);
    for (const std::string& name : entries.files) pass_over(listing_.folder / name);
    const std::size_t classes = listing_.class_names.size();
    if (classes < 2) {
      fail(ErrorKind::data, "{}: {} class folder{}, at least two are needed; expected {}/{}", listing_.folder.string(),
           classes, classes == 1 ? "" : "s", listing_.folder.filename().string(), pattern());
    }
    listing_.notes = cache_.save();
    return std::move(listing_);
  }

 private:
  /// Lengths are looked at only where they are kept: that takes longer than listing.
  Entries look_into(const fs::path& folder) {
    if (const KeptList* kept = cache_.find(folder))
      if (std::optional<Entries> entries = entries_of(*kept)) return *std::move(entries);
    Entries entries = entries_in(folder);
    if (!cache_.keeps()) return entries;
    entries.bytes = lengths_of(folder, entries.files);
    cache_.keep(folder, kept_list_of(entries));
    return entries;
  }

  /// Adds the files of `folder` and of all folders within it.
  void add_files(const fs::path& folder, int level, std::map<std::string, Entries>& files_of_folder) {
    if (level > kMostLevels)
      fail(ErrorKind::data, "{}: folders more than {} deep in a class; is a link among them?", folder.string(),
           kMostLevels);
    const Entries& entries = files_of_folder[folder.string()] = look_into(folder);
    for (const std::string& name : entries.folders) add_files(folder / name, level + 1, files_of_folder);
  }

  void pass_over(const fs::path& file) {
    const std::string extension = file.extension().string();
    ++listing_.passed_over[extension.empty() ? "without extension" : extension];
    if (listing_.first_passed_over.empty()) listing_.first_passed_over = file;
  }

  void list_class(const std::string& class_name) {
    const auto label = static_cast<std::int32_t>(listing_.class_names.size());
    const fs::path class_folder = listing_.folder / class_name;
    // torchvision's order: whole folders by their paths, then files by their names.
    std::map<std::string, Entries> files_of_folder;
    add_files(class_folder, 1, files_of_folder);
    int found = 0;
    for (auto& [folder, entries] : files_of_folder) {
      listing_.folders.emplace_back(folder);
      const auto place = static_cast<std::uint32_t>(listing_.folders.size() - 1);
      for (std::size_t i = 0; i < entries.files.size(); ++i) {
        std::string& name = entries.files[i];
        if (!has_image_name(name)) {
          pass_over(fs::path(folder) / name);
        } else if (per_class_ == 0 || found < per_class_) {
          listing_.files.push_back({place, std::move(name), entries.bytes.empty() ? kNotLooked : entries.bytes[i]});
          listing_.labels.push_back(label);
          ++found;
        }
      }
    }
    if (found == 0) fail(ErrorKind::data, "{}: no {} files in this class", class_folder.string(), image_name_pattern());
    if (found < per_class_)
      fail(ErrorKind::data, "{}: {} images, but {} of each class are asked for", class_folder.string(), found,
           per_class_);
    listing_.class_names.push_back(shown_name(class_name));
  }

  ListingCache cache_;
  int per_class_;
  Listing listing_;
};

/// As many as a message can show.
std::string some_of(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 8;
  std::vector<std::string> shown;
  for (std::size_t i = 0; i < std::min(names.size(), kMost); ++i) shown.push_back(shown_name(names[i]));
  return fmt::format("{}{}", fmt::join(shown, ", "), names.size() > kMost ? ", ..." : "");
}

/// The first of `names` that is a folder with classes, else the first that is a folder.
fs::path find_split(const fs::path& root, const std::vector<std::string>& names) {
  std::vector<fs::path> folders;
  for (const std::string& name : names)
    if (is_folder(root / name)) folders.push_back(root / name);
  for (const fs::path& folder : folders)
    if (!entries_in(folder).folders.empty()) return folder;
  if (!folders.empty()) return folders.front();
  const std::vector<std::string> there = is_folder(root) ? entries_in(root).folders : std::vector<std::string>();
  fail(ErrorKind::data, "data.root '{}': no folder '{}'; expected {}/{} in it, {}", root.string(),
       fmt::join(names, "' or '"), names.front(), pattern(),
       there.empty() ? "there are no folders" : "where there are " + some_of(there));
}

void check_same_classes(const Listing& train, const Listing& test) {
  const auto first_missing = [](const std::vector<std::string>& from, const std::vector<std::string>& in) {
    const std::set<std::string> known(in.begin(), in.end());
    const auto found =
        std::find_if(from.begin(), from.end(), [&](const std::string& name) { return known.count(name) == 0; });
    return found == from.end() ? std::string() : *found;
  };
  if (const std::string name = first_missing(train.class_names, test.class_names); !name.empty()) {
    fail(ErrorKind::data, "{}: class '{}' of {} is missing", test.folder.string(), name, train.folder.string());
  }
  if (const std::string name = first_missing(test.class_names, train.class_names); !name.empty()) {
    fail(ErrorKind::data, "{}: class '{}' is not one of {}", test.folder.string(), name, train.folder.string());
  }
}

std::vector<std::string> notes_of(const Listing& listing) {
  std::vector<std::string> notes = listing.notes;
  if (listing.passed_over.empty()) return notes;
  int total = 0;
  std::vector<std::string> kinds;
  for (const auto& [extension, count] : listing.passed_over) {
    total += count;
    kinds.push_back(fmt::format("{} {}", count, shown_name(extension)));
  }
  notes.push_back(fmt::format("{}: {} file{} passed over ({}), such as {}", listing.folder.string(), total,
                              total == 1 ? "" : "s", fmt::join(kinds, ", "), listing.first_passed_over.string()));
  return notes;
}

class ImageFolder final : public PictureSet {
 public:
  ImageFolder(Listing listing, ImageSize size, const PictureOptions& options, std::vector<std::string> notes)
      : PictureSet({size.height, size.width, listing.class_names}, listing.labels, options, std::move(notes)),
        folders_(std::move(listing.folders)),
        files_(std::move(listing.files)) {}

  /// The size of the file, and its name. A file that is not there any more is named when it is read.
  std::uint64_t identity(std::int64_t number) const override {
    const ListedFile& listed = listed_file(number);
    std::error_code ignored;
    return hash_of(listed.name, listed.bytes != kNotLooked
                                    ? static_cast<std::uint64_t>(listed.bytes)
                                    : static_cast<std::uint64_t>(fs::file_size(path(listed), ignored)));
  }
  std::string name(std::int64_t number) const override { return shown_name(path(listed_file(number)).string()); }

 private:
  const ListedFile& listed_file(std::int64_t number) const { return files_.at(static_cast<std::size_t>(number)); }
  fs::path path(const ListedFile& file) const { return folders_[file.folder] / file.name; }

  ImageFile file(std::int64_t number) const override {
    const ListedFile& listed = listed_file(number);
    ImageFile read(path(listed));
    if (const std::int64_t bytes = std::ssize(read.bytes); listed.bytes != kNotLooked && listed.bytes != bytes)
      fail(ErrorKind::data, "{}: {} bytes, {} when its folder was listed in data.cache; remove the listings there",
           read.name, bytes, listed.bytes);
    return read;
  }

  std::vector<fs::path> folders_;
  std::vector<ListedFile> files_;
};

DataSplits open_folder_splits(const fs::path& root, const ImageFolderLimits& limits, int image_size,
                              const PictureOptions& options, const SplitNames& names) {
  const auto list = [&](const std::vector<std::string>& folders, int per_class) {
    return SplitLister(find_split(root, folders), names, per_class).list();
  };
  Listing train = list(names_of_split(names.train, {"train"}), limits.train_per_class);
  Listing test = list(names_of_split(names.test, {"test", "val"}), limits.test_per_class);
  if (std::error_code unknown; fs::equivalent(train.folder, test.folder, unknown))
    fail(ErrorKind::data,
         "{}: is the folder of both splits, training and test; accuracies on training images say nothing, data.holdout "
         "takes a part of them out of training",
         test.folder.string());
  check_same_classes(train, test);

  const fs::path test_folder = test.folder;
  const ImageSize size =
      image_size > 0
          ? ImageSize{image_size, image_size}
          : first_size(std::ssize(train.files), [&](std::int64_t number) { return ImageFile(train.path(number)); });
  std::vector<std::string> train_notes = notes_of(train), test_notes = notes_of(test);
  if (const fs::path usual = root / "test"; names.test.empty() && test_folder != usual && is_folder(usual))
    test_notes.insert(test_notes.begin(), fmt::format("{}: no class folders in it; {} is the test set", usual.string(),
                                                      test_folder.string()));
  return {std::make_unique<ImageFolder>(std::move(train), size, options, std::move(train_notes)),
          std::make_unique<ImageFolder>(std::move(test), size, PictureOptions{options.fit, {}}, std::move(test_notes))};
}

}  // namespace

DataSplits open_image_folder(const fs::path& root, const ImageFolderLimits& limits, int image_size,
                             const PictureOptions& options, const SplitNames& names) {
  if (!is_folder(root)) fail(ErrorKind::data, "data.root '{}': no such folder", root.string());
  return open_by_lists(
      names, [&](const SplitNames& splits) { return open_folder_splits(root, limits, image_size, options, splits); });
}

void add_image_folder_keys(ConfigSchema& schema) {
  need_root(schema, "image_folder", true);
  add_picture_keys(schema);
}

DataSplits open_image_folder(const Config& config) {
  const DataConfig& data = config.data;
  return open_image_folder(data.root, {data.train_per_class, data.test_per_class}, data.image_size,
                           picture_options(data), {data.train, data.test, data.cache});
}

std::string describe_image_folder(const Config& config) {
  return describe_split(config.data);
}

}  // namespace bsq
