// The CUDA backend, loaded on first use: a program that links CUDA starts 90 ms later and not at all if its
// libraries are absent.
#pragma once

#include "kernels/backend.h"

namespace bsq {

/// The result of a search for CUDA.
struct CudaSearch {
  std::unique_ptr<Backend> backend;  // null if CUDA cannot be used
  std::string text;                  // the driver, the libraries and one line per device; or one line: why not
};
CudaSearch find_cuda(const BackendOptions& options);

/// Throws Error(device), saying why, if CUDA cannot be used. With BSQ_CUDA_FORCE_LOAD in the environment,
/// libbsq_cuda.so is loaded even if there is no driver.
std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& options);

}  // namespace bsq
