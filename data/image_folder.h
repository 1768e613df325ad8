// A folder of images: root/train/<class>/*.{jpg,jpeg,png} and root/test/<class>/... (or root/val), any count.
//
// Classes are sorted by name and files by name within their class, both in byte order; that is the order of the set.
// Hidden entries and files of other extensions are passed over. All images of both splits must have one size.
#pragma once

#include "engine/input/image_set.h"

#include <filesystem>

namespace bsq {

/// Of each class only the first images are read; 0 reads all.
struct ImageFolderLimits {
  int train_per_class = 0;
  int test_per_class = 0;
};

/// Decodes on all OpenMP threads. Throws Error(data) for a missing folder, fewer than two classes, a class without
/// enough images, other classes in the test split, and for the first file, in set order, that cannot be used.
DataSets load_image_folder(const std::filesystem::path& root, const ImageFolderLimits& limits);

}  // namespace bsq
