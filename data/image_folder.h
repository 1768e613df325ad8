// A folder of images: root/train/<class>/ and root/test/<class>/ (or root/val), any count, of the formats of
// image_file.h.
//
// Classes are sorted by name in byte order; within a class, folders by their paths and files by their names, as
// torchvision's ImageFolder does: that is the order of the set. Hidden entries are passed over; so are files of other
// extensions, which are counted in the notes of the set. All images of both splits must have one size, or are given one
// as they are read (data.image_size).
#pragma once

#include "data/picture_set.h"
#include "engine/config/config_schema.h"
#include "engine/input/dataset.h"

#include <filesystem>
#include <string>

namespace bsq {

/// How many images of each class are used, the first ones; 0: all.
struct ImageFolderLimits {
  int train_per_class = 0;
  int test_per_class = 0;
};

/// Throws Error(data) for a missing folder, fewer than two classes, a class without enough images and other classes in
/// the test split. An image is decoded when it is read, which throws Error(data) if that is impossible.
/// `image_size`: what images are fitted to; 0: the size of the first one, which all must have. `options`: its crop is
/// for training pictures.
DataSplits open_image_folder(const std::filesystem::path& root, const ImageFolderLimits& limits, int image_size = 0,
                             const PictureOptions& options = {}, const SplitNames& names = {});

// The line of the table of data sets.
void add_image_folder_keys(ConfigSchema& schema);
DataSplits open_image_folder(const Config& config);
/// Which folder it is.
std::string describe_image_folder(const Config& config);

}  // namespace bsq
