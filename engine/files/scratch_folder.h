// A folder for what programs of others read and write.
#pragma once

#include <filesystem>
#include <string>

namespace bsq {

class ScratchFolder {
 public:
  /// A new one where temporary files lie, `NAME-...`. Throws Error(usage) if none can be made there.
  explicit ScratchFolder(const std::string& name);
  ~ScratchFolder();  // with all that is in it
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace bsq
