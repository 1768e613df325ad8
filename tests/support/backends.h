// The backends a test runs on. The first is the oracle; every other is compared with it.
//
// Usually those that every machine has. With BSQ_TEST_DEVICE=cuda in the environment the GPU alone; if there is none,
// the tests do nothing but say "SKIPPED: device: cuda: why" (tests/gpu_tests.sh).
#pragma once

#include "kernels/base/error.h"
#include "kernels/devices.h"
#include "kernels/reference/reference_backend.h"
#include "tests/support/catch.h"

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace bsq::test {

inline constexpr const char* kTestDevice = "BSQ_TEST_DEVICE";

inline bool tests_gpu() {
  const char* device = std::getenv(kTestDevice);
  return device != nullptr && std::string(device) == "cuda";
}

/// The GPU, or null if none can be used. The first call of a process finds out and says why.
inline std::unique_ptr<Backend> make_gpu(const BackendOptions& options = {}) {
  enum class Gpu { not_asked, found, missing };
  static Gpu gpu = Gpu::not_asked;
  if (gpu == Gpu::missing) return nullptr;
  try {
    std::unique_ptr<Backend> backend = make_backend("cuda", options);
    gpu = Gpu::found;
    return backend;
  } catch (const Error& error) {
    if (gpu == Gpu::found || error.kind() != ErrorKind::device) throw;
    gpu = Gpu::missing;
    WARN("SKIPPED: " << error.what());
    return nullptr;
  }
}

inline std::vector<std::unique_ptr<Backend>> other_backends() {
  std::vector<std::unique_ptr<Backend>> backends;
  std::unique_ptr<Backend> backend = tests_gpu() ? make_gpu() : make_backend("cpu", {});
  if (backend != nullptr) backends.push_back(std::move(backend));
  return backends;
}

inline std::vector<std::unique_ptr<Backend>> all_backends() {
  std::vector<std::unique_ptr<Backend>> backends = other_backends();
  if (!tests_gpu()) backends.insert(backends.begin(), make_reference_backend());
  return backends;
}

/// Calls `check(backend)` for every backend; the report of a failure has its name.
template <typename Check>
void for_each_backend(Check&& check) {
  for (const auto& backend : all_backends()) {
    INFO("backend " << backend->name());
    check(*backend);
  }
}

/// A GPU, and not the emulation of one.
inline bool is_hardware(const Backend& backend) {
  return backend.name() == "cuda" && backend.describe().find("CUDA on host") == std::string::npos;
}

/// f32, and bf16 if the backend has it.
inline std::vector<DType> activation_dtypes(const Backend& backend) {
  std::vector<DType> dtypes;
  std::string why;
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    if (backend.supports(precision, why)) dtypes.push_back(dtype_of(precision));
  }
  return dtypes;
}

}  // namespace bsq::test
