// The rule that says which convolutions are our own is what the launchers go by, for the sizes of a training step.
#include "kernels/cuda/ops/own_geometries.h"

#include "bench/op_cases.h"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/planned_passes.h"
#include "tests/support/catch.h"

namespace bsq::test {

TEST_CASE("our own kernels serve every convolution of ResNet-20 that their rule names, and no other one") {
  for (cases::ConvCase conv : cases::conv_cases()) {
    for (const int batch : {1, 128, 512, 4096}) {
      for (const DType dtype : {DType::bf16, DType::f32}) {
        conv.batch = batch;
        const ConvGeometry geometry = conv.geometry(dtype);
        INFO(describe(geometry));
        CHECK(cuda::own_forward_serves(geometry) == cuda::has_own_kernel(geometry, ConvPass::forward));
        CHECK(cuda::own_backward_data_serves(geometry) == cuda::has_own_kernel(geometry, ConvPass::backward_data));
        CHECK(cuda::own_filter_gradient_serves(geometry) == cuda::has_own_kernel(geometry, ConvPass::backward_weight));
      }
    }
  }
}

}  // namespace bsq::test
