// The rule that says which convolutions are our own is what the launchers go by, for the sizes of a training step.
#include "kernels/cuda/device/own_geometries.h"

#include "bench/op_cases.h"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/planned_passes.h"
#include "tests/cuda_on_host/host_math.h"
#include "tests/support/catch.h"

#include <cstdlib>
#include <memory>
#include <vector>

namespace bsq::test {
namespace {

/// Sets BSQ_CONVOLUTION for as long as it lives.
class ScopedChoice {
 public:
  explicit ScopedChoice(const char* choice) { REQUIRE(setenv("BSQ_CONVOLUTION", choice, 1) == 0); }
  ScopedChoice(const ScopedChoice&) = delete;
  ScopedChoice& operator=(const ScopedChoice&) = delete;
  ~ScopedChoice() { unsetenv("BSQ_CONVOLUTION"); }
};

std::vector<EngineNote> engines_of(const ConvGeometry& geometry) {
  const std::unique_ptr<Backend> backend = make_cuda_backend_on_host();
  const ConvRequest request{geometry, kAllPasses};
  backend->plan_convolutions({&request, 1});
  return backend->engines();
}

}  // namespace

TEST_CASE("a convolution of our own is noted as such, and is left to the vendor on demand") {
  const ConvGeometry geometry{2, 8, 8, 16, 16, 3, 1, 1, DType::bf16};
  const std::vector<EngineNote> engines = engines_of(geometry);
  REQUIRE(engines.size() == 3);
  for (const EngineNote& note : engines) {
    CHECK(note.engine == "own");
    CHECK(note.geometry == geometry);
  }
  {
    const ScopedChoice choice("vendor");
    CHECK(engines_of(geometry).empty());  // the oracle stands in for it, and notes nothing
  }
  const ScopedChoice choice("fastest");
  CHECK_THROWS_WITH(make_cuda_backend_on_host(), "BSQ_CONVOLUTION=fastest: use own (the default) or vendor");
}

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
