// What the tests of files share: a folder of their own, the error of a call, and ways to make writing fail.
#pragma once

#include "engine/files/posix_file.h"
#include "kernels/base/error.h"
#include "tests/support/catch.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace bsq::test {

namespace fs = std::filesystem;

/// A folder everyone may enter (for the tests of permissions), removed at the end.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const fs::path& parent = fs::temp_directory_path()) {
    std::string name = (parent / "bsq-files-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
    fs::permissions(path_, fs::perms(0755));
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::permissions(path_, fs::perms(0755), ignored);  // a test of permissions may have taken them
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const fs::path& path() const { return path_; }
  fs::path operator/(const fs::path& name) const { return path_ / name; }

 private:
  fs::path path_;
};

/// The Error of a call. Fails the test if there is none, or if it is of another kind.
template <typename Call>
std::string error_of(ErrorKind kind, Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(static_cast<int>(error.kind()) == static_cast<int>(kind));
    return error.what();
  }
  FAIL("no error was thrown");
  return {};
}

inline std::string text_of(const fs::path& path) {
  return read_text_file(path, ErrorKind::internal);
}

inline void put_text(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
  REQUIRE(text_of(path) == text);
}

inline std::vector<std::string> lines_of(const fs::path& path) {
  std::istringstream stream(text_of(path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

inline std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Stands in for a full disk: while it lives no file grows beyond `bytes` (EFBIG), and that raises no signal.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit limit{bytes, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

/// Root passes every check of permissions, so root becomes "nobody" while this lives.
class Unprivileged {
 public:
  Unprivileged() : was_root_(::geteuid() == 0) {
    constexpr uid_t kNobody = 65534;
    if (was_root_) possible_ = ::seteuid(kNobody) == 0;
  }
  ~Unprivileged() {
    if (was_root_ && possible_ && ::seteuid(0) != 0) std::abort();
  }
  Unprivileged(const Unprivileged&) = delete;
  Unprivileged& operator=(const Unprivileged&) = delete;

  bool possible() const { return possible_; }

 private:
  bool was_root_;
  bool possible_ = true;
};

}  // namespace bsq::test

/// For the top of a test of permissions, after everything that needs the rights of the owner.
#define BSQ_DROP_PRIVILEGES()                                                          \
  const bsq::test::Unprivileged unprivileged;                                          \
  if (!unprivileged.possible()) {                                                      \
    WARN("SKIPPED: root passes every check of permissions and cannot step down here"); \
    return;                                                                            \
  }
