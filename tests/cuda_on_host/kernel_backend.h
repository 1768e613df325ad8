// A backend whose operators are the CUDA kernels, so that the runs of tests/kernels/op_runs.h can be made with them.
//
// Memory is that of the CUDA runtime. An operator without a kernel (convolutions are cuDNN's) throws.
#pragma once

#include "kernels/backend.h"

#include <memory>

namespace bsq::test {

std::unique_ptr<Backend> make_kernel_backend();

}  // namespace bsq::test
