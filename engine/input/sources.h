// Which sets of images are kept in memory, and which are read again whenever they are used.
#pragma once

#include "engine/input/resident_source.h"
#include "engine/input/streaming_source.h"

#include <memory>
#include <string>

namespace bsq {

struct SourceLimits {
  std::size_t resident_bytes = 0;  // that all sets together may take in memory
  int readers = 1;                 // threads that read one that may not
};

/// The memory of this machine, or what a control group leaves of it.
std::size_t host_memory_bytes();

/// Whether the images of a set may be kept; takes off what they take.
bool may_keep(const DatasetInfo& info, std::int64_t images, SourceLimits& limits);

/// A source of its own for a set that is kept, or read batch by batch, `batch` images at most.
std::unique_ptr<BatchSource> make_source(DeviceMemory& memory, const Dataset& images, const std::string& name,
                                         int batch, SourceLimits limits);

}  // namespace bsq
