// Ranges reach a profiler. The one here is nvtx_listener/, which NVTX loads at the first range of a process.
#include "tests/cuda_on_host/host_math.h"
#include "tests/support/catch.h"

#include <dlfcn.h>

#include <cstdlib>

namespace bsq::test {

TEST_CASE("a profiler sees ranges by name, nested as they are, and ended whatever ends them") {
  REQUIRE(setenv("NVTX_INJECTION64_PATH", BSQ_NVTX_LISTENER, 1) == 0);
  const auto backend = make_cuda_backend_on_host();
  {
    const Range outer(*backend, "outer");
    const Range inner(*backend, std::string("inner"));
  }
  try {
    const Range range(*backend, "failing");
    throw 1;
  } catch (int) {
  }
  void* listener = dlopen(BSQ_NVTX_LISTENER, RTLD_NOW | RTLD_NOLOAD);
  REQUIRE(listener != nullptr);
  const auto ranges = reinterpret_cast<const char* (*)()>(dlsym(listener, "bsq_nvtx_ranges"));
  REQUIRE(ranges != nullptr);
  CHECK(std::string(ranges()) == "<outer <inner > > <failing > ");
}

}  // namespace bsq::test
