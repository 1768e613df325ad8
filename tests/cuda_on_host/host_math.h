// The CUDA backend on the host: its kernels emulated, its convolutions and matrix products the oracle's loops.
#pragma once

#include "kernels/backend.h"

#include <memory>

namespace bsq::test {

std::unique_ptr<Backend> make_cuda_backend_on_host();

}  // namespace bsq::test
