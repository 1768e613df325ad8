// What norm_act costs on a device where networks of every kind are not there to count it: without a norm, and with rows
// that are a part of wider ones.
#include "bench/norm_act_cases.h"
#include "engine/memory/device_memory.h"
#include "tests/cuda_on_host/counts/access_counter.h"
#include "tests/cuda_on_host/host_math.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

using cuda_on_host::CountedKernel;
using cuda_on_host::Counts;

constexpr double kMostRatio = 1.15;  // of wavefronts to the least there could be

/// The arguments of one case; numbers do not matter here.
class NormActRun {
 public:
  NormActRun(Backend& backend, cases::NormActCase c, DType dtype)
      : backend_(backend), memory_(backend), case_(std::move(c)), geometry_(case_.geometry(dtype)) {
    x_ = floats(geometry_.rows * geometry_.pitch());
    d_x_ = floats(geometry_.rows * geometry_.pitch());
    y_ = floats(geometry_.rows * geometry_.channels);
    shortcut_ = case_.shortcut ? floats(geometry_.rows * geometry_.channels) : nullptr;
    d_shortcut_ = case_.shortcut ? floats(geometry_.rows * geometry_.channels) : nullptr;
    for (const float** parameter : {&parameters_.gamma, &parameters_.beta, &parameters_.clip})
      *parameter = floats(geometry_.channels);
    for (float** number : {&parameters_.running_mean, &parameters_.running_var, &saved_.mean, &saved_.inv_std,
                           &saved_.act_scale, &gradients_.d_gamma, &gradients_.d_beta, &gradients_.d_clip})
      *number = floats(geometry_.channels);
    if (!case_.bias) parameters_.beta = gradients_.d_beta = nullptr;
    scratch_ = floats(static_cast<std::int64_t>(backend.norm_act_scratch_bytes(geometry_) / sizeof(float)));
  }

  Counts forward() {
    return cuda_on_host::count([this] {
      backend_.norm_act_forward({geometry_, case_.rule, x_, shortcut_, parameters_, saved_, y_, scratch_});
      backend_.synchronize();
    });
  }
  Counts backward() {
    return cuda_on_host::count([this] {
      backend_.norm_act_backward({geometry_, case_.rule, y_, x_, shortcut_, parameters_, saved_, d_x_, d_shortcut_,
                                  GradMode::overwrite, GradMode::overwrite, gradients_, scratch_});
      backend_.synchronize();
    });
  }

 private:
  float* floats(std::int64_t count) {
    buffers_.push_back(memory_.allocate("", static_cast<std::size_t>(count) * sizeof(float)));
    return buffers_.back().as<float>();
  }

  Backend& backend_;
  DeviceMemory memory_;
  cases::NormActCase case_;
  NormActGeometry geometry_;
  std::vector<Buffer> buffers_;
  float *x_, *d_x_, *y_, *shortcut_, *d_shortcut_, *scratch_;
  NormParameters parameters_;
  NormSaved saved_;
  NormGradients gradients_;
};

void check_wavefronts(const Counts& counts) {
  for (const CountedKernel& kernel : counts.kernels) {
    INFO(kernel.name << ": " << kernel.wavefronts.taken << " wavefronts, least " << kernel.wavefronts.least);
    CHECK(kernel.wavefronts.ratio() <= kMostRatio);
    CHECK(kernel.early_accesses == 0);
    CHECK(kernel.launches == 1);
  }
}

TEST_CASE("where nothing is normalized forward is one kernel, or two if it quantizes, and backward is one") {
  const auto backend = make_cuda_backend_on_host();
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (cases::NormActCase c : cases::bias_cases()) {
      c.batch *= 20;
      INFO(c.name << ", " << name_of(dtype));
      NormActRun run(*backend, c, dtype);
      const Counts forward = run.forward(), backward = run.backward();
      CHECK(forward.kernels.size() == (c.rule.act_bits > 0 ? 2 : 1));
      CHECK(backward.kernels.size() == 1);
      check_wavefronts(forward);
      check_wavefronts(backward);
    }
  }
}

TEST_CASE("no kernel of a norm waits for banks, whatever part of wider rows it reads") {
  const auto backend = make_cuda_backend_on_host();
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (cases::NormActCase c : cases::pitched_and_biased_norm_cases()) {
      if (c.x_pitch == 0 || !c.rule.batch_statistics) continue;
      c.batch *= 20;
      INFO(c.name << ", " << name_of(dtype));
      NormActRun run(*backend, c, dtype);
      check_wavefronts(run.forward());
      check_wavefronts(run.backward());
    }
  }
}

}  // namespace
}  // namespace bsq::test
