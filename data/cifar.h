// CIFAR-10 and CIFAR-100 in the published versions, binary and for Python (Krizhevsky, "Learning multiple layers of
// features from tiny images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html).
//
// A record is one label byte (CIFAR-100: coarse, then fine) and 3072 pixel bytes: 32x32 red, then green, then blue.
// CIFAR-10:  data_batch_{1..5}.bin and test_batch.bin of 10,000 records each, names in batches.meta.txt.
// CIFAR-100: train.bin of 50,000 and test.bin of 10,000 records, names in fine_label_names.txt; fine labels are used.
//
// The version for Python has the same images in the same order, as pickles: data_batch_{1..5}, test_batch and
// batches.meta, or train, test and meta; a batch is a dictionary with `data` [images, 3072] and its labels.
#pragma once

#include "data/datasets.h"
#include "engine/config/config_schema.h"
#include "engine/input/dataset.h"

#include <cstdint>
#include <filesystem>

namespace bsq {

enum class CifarVersion : std::uint8_t { cifar10, cifar100 };

/// Opens both splits, in the order of the files; images are read where they lie. `root` holds the files or the
/// archive's folder (cifar-10-batches-bin, cifar-10-batches-py, cifar-100-binary, cifar-100-python); of two versions
/// the binary one is read. Throws Error(data) for a missing file, a file of another length and a label out of range.
DataSplits open_cifar(CifarVersion version, const std::filesystem::path& root);

// Lines of the table of data sets.
void add_cifar10_keys(ConfigSchema& schema);
void add_cifar100_keys(ConfigSchema& schema);
DataSplits open_cifar10(const Config& config);
DataSplits open_cifar100(const Config& config);
KnownSizes cifar10_sizes();
KnownSizes cifar100_sizes();

}  // namespace bsq
