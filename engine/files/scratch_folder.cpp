#include "engine/files/scratch_folder.h"

#include "kernels/base/error.h"

#include <stdlib.h>

#include <cerrno>
#include <system_error>

namespace bsq {

ScratchFolder::ScratchFolder(const std::string& name) {
  std::string path = (std::filesystem::temp_directory_path() / (name + "-XXXXXX")).string();
  if (::mkdtemp(path.data()) == nullptr)
    fail(ErrorKind::usage, "{}: {}; set TMPDIR to a folder that can be written to", path,
         std::generic_category().message(errno));
  path_ = path;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace bsq
