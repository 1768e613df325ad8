#include "engine/input/sources.h"

#include <algorithm>
#include <fstream>
#include <limits>

#include <unistd.h>

namespace bsq {
namespace {

/// The limit of the control group that a container sees, or none.
std::size_t group_limit() {
  for (const char* file : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::size_t bytes = 0;
    if (std::ifstream(file) >> bytes) return bytes;  // "max" is no number
  }
  return std::numeric_limits<std::size_t>::max();
}

}  // namespace

std::size_t host_memory_bytes() {
  const std::size_t machine =
      static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return std::min(machine, group_limit());
}

bool may_keep(const DatasetInfo& info, std::int64_t images, SourceLimits& limits) {
  const std::size_t bytes = static_cast<std::size_t>(images) * info.image_bytes();
  if (bytes > limits.resident_bytes) return false;
  limits.resident_bytes -= bytes;
  return true;
}

std::unique_ptr<BatchSource> make_source(DeviceMemory& memory, const Dataset& images, const std::string& name,
                                         int batch, SourceLimits limits) {
  if (may_keep(images.info(), images.size(), limits)) return std::make_unique<ResidentSource>(memory, images, name);
  return std::make_unique<StreamingSource>(memory, images, name,
                                           StreamOptions{.batch = batch, .threads = limits.readers});
}

}  // namespace bsq
