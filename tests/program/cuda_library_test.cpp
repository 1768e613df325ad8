// What lies where bsq looks for CUDA, and cannot be used: no library, another file, another version, a driver that does
// not serve. A sentence each, exit 5, and never another device instead.
#include "tests/support/program_tree.h"

#include <cstdlib>

using namespace bsq::test;

namespace {

const fs::path kPlugin = fs::path(BSQ_PROGRAM).parent_path().parent_path() / "lib" / "libbsq_cuda.so";
constexpr const char* kForceLoad = "BSQ_CUDA_FORCE_LOAD";

/// LD_LIBRARY_PATH with `folder` before what it has.
std::string found_first(const fs::path& folder) {
  const char* others = std::getenv("LD_LIBRARY_PATH");
  return folder.string() + (others == nullptr ? "" : std::string(":") + others);
}

}  // namespace

TEST_CASE("without its CUDA library bsq says where it looked, whether or not there is a driver") {
  const Workspace here;
  ProgramTree tree;
  const std::vector<std::string> parts = {"device: cuda: this bsq is built without CUDA, ", tree.plugin().string(),
                                          " is not there; build it with -DBSQ_CUDA=ON, or set device: cpu"};
  check_no_cuda(here, tree.setup(here), parts);
  tree.with_variable("LD_LIBRARY_PATH", found_first(stand_in("driver")));
  check_no_cuda(here, tree.setup(here), parts);
}

TEST_CASE("a driver that cannot be loaded is no driver, and the loader's reason is named") {
  const Workspace here;
  put_text(here / "driver" / "libcuda.so.1", "This is no library, whatever its name says. It has some text in it.\n");
  ProgramTree tree;
  tree.with_plugin(stand_in("no_plugin") / "libbsq_cuda.so")
      .with_variable("LD_LIBRARY_PATH", found_first(here / "driver"));
  check_no_cuda(here, tree.setup(here),
                {"device: cuda: no NVIDIA driver (", "libcuda.so.1: ", "); install it, or set device: cpu"});
}

TEST_CASE("a library that bsq's CUDA library needs and that is missing is named, with what to install") {
  const Workspace here;
  ProgramTree tree;
  tree.with_plugin(stand_in("lacks_library") / "libbsq_cuda.so").with_variable(kForceLoad, "1");
  check_no_cuda(
      here, tree.setup(here),
      {"device: cuda: libbsq_stand_in_needed.so.9: cannot open shared object file",
       "; install CUDA 13 and cuDNN 9, or name that library's folder in LD_LIBRARY_PATH, or set device: cpu"});
}

TEST_CASE("a file that is no library, or not bsq's, is named") {
  const Workspace here;
  {
    ProgramTree tree;
    tree.with_variable(kForceLoad, "1");
    put_text(tree.plugin(), "This is no library, whatever its name says. It has some text in it.\n");
    check_no_cuda(
        here, tree.setup(here),
        {"device: cuda: " + tree.plugin().string() + ": ", "; build and install bsq anew, or set device: cpu"});
    put_text(tree.plugin(), "");
    check_no_cuda(
        here, tree.setup(here),
        {"device: cuda: " + tree.plugin().string() + ": ", "; build and install bsq anew, or set device: cpu"});
  }
  ProgramTree tree;
  tree.with_plugin(stand_in("no_plugin") / "libbsq_cuda.so").with_variable(kForceLoad, "1");
  check_no_cuda(here, tree.setup(here),
                {"device: cuda: " + tree.plugin().string() + " is not a part of bsq, it has no bsq_cuda_plugin; ",
                 "build and install bsq anew, or set device: cpu"});
}

TEST_CASE("a CUDA library from another version of bsq is refused with both numbers") {
  const Workspace here;
  ProgramTree tree;
  tree.with_plugin(stand_in("other_version") / "libbsq_cuda.so").with_variable(kForceLoad, "1");
  check_no_cuda(here, tree.setup(here),
                {"device: cuda: " + tree.plugin().string() + " is of another version of bsq, its interface has number ",
                 ", this bsq's ", "; build and install bsq anew, or set device: cpu"});
}

TEST_CASE("CUDA's own runtime on a driver that is too old, has no device or does not start says which") {
  if (!fs::exists(kPlugin)) {
    WARN("SKIPPED: needs a build with CUDA");
    return;
  }
  struct Case {
    const char* driver;  // version, and what cuInit() returns
    std::vector<std::string> parts;
  };
  const Case cases[] = {
      {"12040 0",
       {"device: cuda: the driver serves CUDA 12.4, bsq needs 1", "cudaErrorInsufficientDriver",
        "; update the NVIDIA driver, or set device: cpu"}},
      {"13000 100",
       {"device: cuda: cudaErrorNoDevice (", "is a GPU visible to this process (nvidia-smi, CUDA_VISIBLE_DEVICES)?"}},
      {"13000 803",
       {"device: cuda: cudaErrorSystemDriverMismatch (", "; restart the machine, or install the NVIDIA driver anew"}},
      {"13000 999", {"device: cuda: cudaErrorUnknown (", "; see what nvidia-smi says, or set device: cpu"}}};
  const Workspace here;
  for (const auto& [driver, parts] : cases) {
    INFO(driver);
    Setup setup = here.setup();
    setup.environment = {{"LD_LIBRARY_PATH", found_first(stand_in("driver"))}, {"BSQ_STAND_IN_DRIVER", driver}};
    check_no_cuda(here, setup, parts);
  }
}
