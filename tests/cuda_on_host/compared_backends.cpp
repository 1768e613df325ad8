// What tests/cuda_on_host compares with the oracle: the CUDA backend.
#include "tests/cuda_on_host/host_math.h"
#include "tests/kernels/ops/parity.h"

namespace bsq::test {

std::vector<std::unique_ptr<Backend>> compared_backends() {
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(make_cuda_backend_on_host());
  return backends;
}

}  // namespace bsq::test
