// Tar archives of pictures in WebDataset's layout ("shards"): root/train/*.tar and root/test/*.tar (or root/val), or
// root/train*.tar and root/test*.tar (root/val*.tar) beside one another.
//
// Files that follow each other in an archive and are called the same up to the first dot are one sample: a picture, of
// the formats of image_file.h, and its class, `.cls` (a number from 0 or a name) or `.json` (its `label` or `cls`). The
// order of the set is that of the archives by name, and of the samples in them. Classes are the names in byte order, or
// numbers, which root/classes.txt may give names, a line each. Hidden files are passed over; so are others beside the
// two, which are counted in the notes of the set.
#pragma once

#include "data/picture_set.h"
#include "engine/config/config_schema.h"
#include "engine/input/dataset.h"

#include <filesystem>
#include <string>

namespace bsq {

/// Throws Error(data) for missing or damaged archives, a sample without a picture or a class, classes that differ
/// between the splits. `image_size` as open_image_folder() has it.
DataSplits open_webdataset(const std::filesystem::path& root, int image_size = 0, const PictureOptions& options = {},
                           const SplitNames& names = {});

// The line of the table of data sets.
void add_webdataset_keys(ConfigSchema& schema);
DataSplits open_webdataset(const Config& config);
/// Which folder it is.
std::string describe_webdataset(const Config& config);

}  // namespace bsq
