// What tests/cuda_on_host compares with the oracle: the CUDA kernels.
#include "tests/cuda_on_host/kernel_backend.h"
#include "tests/kernels/parity.h"

namespace bsq::test {

std::vector<std::unique_ptr<Backend>> compared_backends() {
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(make_kernel_backend());
  return backends;
}

}  // namespace bsq::test
