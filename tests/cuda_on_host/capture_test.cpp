// A captured step of the kernels replays with what device memory holds by then.
#include "tests/cuda_on_host/host_math.h"
#include "tests/support/catch.h"

#include <vector>

namespace bsq::test {
namespace {

TEST_CASE("a captured sgd_step reads the learning rate anew at every replay") {
  const auto backend = make_cuda_backend_on_host();
  const std::vector<float> gradient = {1, 2, 3, 4, 5, 6, 7};
  std::vector<float> values(gradient.size(), 0.0F);
  const std::size_t size_bytes = gradient.size() * sizeof(float);
  auto* inputs = static_cast<StepInputs*>(backend->allocate(sizeof(StepInputs)));
  auto* d_parameter = static_cast<float*>(backend->allocate(size_bytes));
  auto* parameter = static_cast<float*>(backend->allocate(size_bytes));
  auto* momentum = static_cast<float*>(backend->allocate(size_bytes));
  backend->upload(d_parameter, gradient.data(), size_bytes);
  backend->fill_zero(parameter, size_bytes);
  backend->fill_zero(momentum, size_bytes);
  const auto captured = backend->capture([&] {
    backend->sgd_step({std::int64_t{7}, {.momentum = 0, .weight_decay = 0}, inputs, d_parameter, parameter, momentum});
  });
  for (const float learning_rate : {0.5F, 2.0F}) {
    StepInputs step;
    step.learning_rate = learning_rate;
    backend->upload(inputs, &step, sizeof step);
    captured->replay();
  }
  backend->download(values.data(), parameter, size_bytes);
  for (std::size_t i = 0; i < values.size(); ++i) CHECK(values[i] == -2.5F * gradient[i]);
  for (void* data : {static_cast<void*>(inputs), static_cast<void*>(d_parameter), static_cast<void*>(parameter),
                     static_cast<void*>(momentum)}) {
    backend->release(data);
  }
}

}  // namespace
}  // namespace bsq::test
