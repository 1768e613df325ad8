#include "tools/report/file_set.h"

namespace bsq {

namespace fs = std::filesystem;

FileSet::FileSet(fs::path folder, std::string_view what) : folder_(std::move(folder)) {
  std::error_code code;
  fs::create_directories(folder_, code);
  check_file(code, ErrorKind::checkpoint, folder_, fmt::format("cannot create the folder of {}", what));
}

void FileSet::add(const fs::path& name, std::string_view text) {
  files_.push_back(std::make_unique<AtomicFile>(folder_ / name));
  files_.back()->write(text);
}

void FileSet::commit() {
  for (const auto& file : files_) file->sync();
  for (auto file = files_.rbegin(); file != files_.rend(); ++file)
    (*file)->commit();  // the page last: it says all is there
  files_.clear();
}

}  // namespace bsq
