// Plain stdio: iostreams lose errno.
#include "data/files.h"

#include "engine/config/config_schema.h"
#include "kernels/base/error.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

namespace bsq {
namespace {

[[noreturn]] void fail_reading(const std::filesystem::path& path, const std::error_code& why) {
  fail(ErrorKind::data, "{}: cannot be read: {}", path.string(), why.message());
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

std::uintmax_t file_size_of(const std::filesystem::path& path) {
  std::error_code why;
  const std::uintmax_t size_bytes = std::filesystem::file_size(path, why);
  if (why) fail_reading(path, why);
  return size_bytes;
}

std::vector<std::uint8_t> read_file(const std::filesystem::path& path) {
  std::vector<std::uint8_t> bytes(file_size_of(path));
  errno = 0;
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rb"));
  if (!file) fail_reading(path, {errno, std::generic_category()});
  if (std::fread(bytes.data(), 1, bytes.size(), file.get()) != bytes.size()) {
    fail_reading(
        path, errno != 0 ? std::error_code{errno, std::generic_category()} : std::make_error_code(std::errc::io_error));
  }
  return bytes;
}

void need_root(ConfigSchema& schema, const std::string& kind, bool to_plan) {
  schema.add_check("data", [kind, to_plan](const Config& config, std::vector<Conflict>& conflicts) {
    if (config.data.kind != kind || !config.data.root.empty()) return;
    conflicts.push_back({.keys = {"data.root", "data.kind"},
                         .what = fmt::format("data.kind = {} needs data.root, the folder it lies in", kind),
                         .only_in_runs = !to_plan});
  });
}

}  // namespace bsq
