// Several files that change together: all are on the disk before the first takes its place, so that a full disk or a
// missing right leaves every one of them as it was.
#pragma once

#include "engine/files/atomic_file.h"

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

namespace bsq {

class FileSet {
 public:
  /// Makes the folder if it is missing. `what` says in errors whose folder it is. All members throw Error(checkpoint).
  FileSet(std::filesystem::path folder, std::string_view what);

  void add(const std::filesystem::path& name, std::string_view text);
  /// Puts all files into their places, the one that was added first last. Without it nothing changes.
  void commit();

 private:
  std::filesystem::path folder_;
  std::vector<std::unique_ptr<AtomicFile>> files_;
};

}  // namespace bsq
