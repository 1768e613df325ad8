// tools/get_cifar10.sh without a network: every way it can fail, and the good way with a checksum tool that agrees.
#include "tests/data/images_on_disk.h"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include <sys/wait.h>

using namespace bsq;
using namespace bsq::test;

namespace {

struct Outcome {
  int exit_code = 0;
  std::string output;  // of both streams
};

Outcome run(const std::string& command) {
  std::FILE* pipe = popen(("{ " + command + "; } 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  Outcome outcome;
  std::array<char, 4096> part{};
  while (const std::size_t count = std::fread(part.data(), 1, part.size(), pipe)) {
    outcome.output.append(part.data(), count);
  }
  outcome.exit_code = WEXITSTATUS(pclose(pipe));
  return outcome;
}

/// `environment` is put before the call, such as "BSQ_CIFAR10_URL=file:///x".
Outcome get_cifar10(const std::string& environment, const std::string& arguments) {
  return run(fmt::format("{} bash {}/tools/get_cifar10.sh {}", environment, BSQ_SOURCE_DIR, arguments));
}

void write_batches(const fs::path& folder) {
  for (const char* name :
       {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"}) {
    write_text(folder / fmt::format("{}.bin", name), "");
    fs::resize_file(folder / fmt::format("{}.bin", name), 30730000);  // sparse
  }
}

/// Wget does not read file:// addresses.
bool can_download_files() {
  if (run("command -v curl").exit_code == 0) return true;
  WARN("SKIPPED: curl is not installed");
  return false;
}

/// An archive of what is in root/source, and a checksum tool that takes it for the official one.
/// Returns the environment that makes the script use both.
std::string imitate_archive(const TemporaryFolder& root) {
  const std::string folder = root.path().string();
  const std::string pack = fmt::format("tar -C {0}/source -S -czf {0}/archive.tar.gz cifar-10-batches-bin", folder);
  REQUIRE(run(pack).exit_code == 0);
  write_text(root / "bin/md5sum", "#!/bin/sh\necho \"c32a1d4ab5d03f1284b67883e8d87530  $1\"\n");
  fs::permissions(root / "bin/md5sum", fs::perms::owner_all);
  return fmt::format("PATH={0}/bin:$PATH BSQ_CIFAR10_URL=file://{0}/archive.tar.gz", folder);
}

bool is_empty_folder(const fs::path& folder) {
  return fs::is_directory(folder) && fs::is_empty(folder);
}

}  // namespace

TEST_CASE("get_cifar10.sh without a folder says how to call it") {
  const Outcome outcome = get_cifar10("", "");
  CHECK(outcome.exit_code == 2);
  CHECK(outcome.output == "usage: tools/get_cifar10.sh DIR\n");
}

TEST_CASE("get_cifar10.sh reports a failed download and leaves nothing behind") {
  const TemporaryFolder root;
  const Outcome outcome =
      get_cifar10(fmt::format("BSQ_CIFAR10_URL=file://{}/none.tar.gz", root.path().string()), (root / "d").string());
  CHECK(outcome.exit_code == 3);
  CHECK_THAT(outcome.output, Catch::Contains("/none.tar.gz: download failed; set BSQ_CIFAR10_URL"));
  CHECK(is_empty_folder(root / "d"));
}

TEST_CASE("get_cifar10.sh refuses an archive with another checksum and leaves nothing behind") {
  if (!can_download_files()) return;
  const TemporaryFolder root;
  write_text(root / "fake.tar.gz", "not the archive");
  const Outcome outcome =
      get_cifar10(fmt::format("BSQ_CIFAR10_URL=file://{}/fake.tar.gz", root.path().string()), (root / "d").string());
  CHECK(outcome.exit_code == 3);
  CHECK_THAT(outcome.output, Catch::Contains("expected c32a1d4ab5d03f1284b67883e8d87530; the download is damaged"));
  CHECK(is_empty_folder(root / "d"));
}

TEST_CASE("get_cifar10.sh unpacks a verified archive, and does nothing the second time") {
  if (!can_download_files()) return;
  const TemporaryFolder root;
  write_batches(root / "source/cifar-10-batches-bin");

  const std::string environment = imitate_archive(root);
  const Outcome first = get_cifar10(environment, (root / "d").string());
  CHECK(first.exit_code == 0);
  CHECK(fs::file_size(root / "d/cifar-10-batches-bin/test_batch.bin") == 30730000);
  CHECK(std::distance(fs::directory_iterator(root / "d"), fs::directory_iterator()) == 1);

  const Outcome second = get_cifar10("BSQ_CIFAR10_URL=file:///nowhere", (root / "d").string());
  CHECK(second.exit_code == 0);
  CHECK_THAT(second.output, Catch::EndsWith("cifar-10-batches-bin is complete\n"));
}

TEST_CASE("get_cifar10.sh refuses a verified archive that cannot be used") {
  if (!can_download_files()) return;
  const TemporaryFolder root;
  write_batches(root / "source/cifar-10-batches-bin");
  fs::remove(root / "source/cifar-10-batches-bin/data_batch_4.bin");

  const std::string environment = imitate_archive(root);
  const Outcome outcome = get_cifar10(environment, (root / "d").string());
  CHECK(outcome.exit_code == 3);
  CHECK_THAT(outcome.output, Catch::Contains("the archive lacks files of cifar-10-batches-bin"));
  CHECK(is_empty_folder(root / "d"));
}

TEST_CASE("get_cifar10.sh does not touch an incomplete folder") {
  const TemporaryFolder root;
  write_batches(root / "cifar-10-batches-bin");
  fs::resize_file(root / "cifar-10-batches-bin/data_batch_2.bin", 1000);
  const Outcome outcome = get_cifar10("", root.path().string());
  CHECK(outcome.exit_code == 3);
  CHECK_THAT(outcome.output, Catch::EndsWith("cifar-10-batches-bin exists but is not complete; remove it and run this "
                                             "again\n"));
  CHECK(fs::file_size(root / "cifar-10-batches-bin/data_batch_2.bin") == 1000);
}
