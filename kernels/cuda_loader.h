// The CUDA backend, loaded on first use: a program that links CUDA starts 90 ms later and not at all where its
// libraries are absent.
#pragma once

#include "kernels/backend.h"

namespace bsq {

/// What a search for CUDA came to: the library and its devices in words, or why there is none.
struct CudaSearch {
  bool found = false;
  std::string text;
};
/// With BSQ_CUDA_FORCE_LOAD in the environment, libbsq_cuda.so is loaded even where there is no driver.
CudaSearch find_cuda();

/// Throws Error(device), saying why, where CUDA cannot be used.
std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& options);

}  // namespace bsq
