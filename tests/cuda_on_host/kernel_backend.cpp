#include "tests/cuda_on_host/kernel_backend.h"

#include "kernels/cuda/check.h"
#include "kernels/cuda/kernels.h"
#include "kernels/error.h"

namespace bsq::test {
namespace {

[[noreturn]] void no_kernel(const char* operation) {
  fail(ErrorKind::internal, "{} has no kernel of its own", operation);
}

class Graph final : public CapturedWork {
 public:
  Graph(cudaGraph_t graph, cudaStream_t stream) : stream_(stream) {
    BSQ_CUDA_CHECK(cudaGraphInstantiate(&executable_, graph, 0));
    BSQ_CUDA_CHECK(cudaGraphDestroy(graph));
  }
  ~Graph() override { cudaGraphExecDestroy(executable_); }
  void replay() override { BSQ_CUDA_CHECK(cudaGraphLaunch(executable_, stream_)); }

 private:
  cudaGraphExec_t executable_ = nullptr;
  cudaStream_t stream_ = nullptr;
};

class KernelBackend final : public Backend {
 public:
  KernelBackend() { BSQ_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~KernelBackend() override { cudaStreamDestroy(stream_); }

  std::string name() const override { return "cuda kernels"; }
  std::string describe() const override { return "cuda kernels on the host"; }
  bool supports(DType dtype, std::string&) const override { return dtype == DType::f32 || dtype == DType::bf16; }

  // ---- memory ---------------------------------------------------------------------------------------------------
  void* allocate(std::size_t size_bytes) override {
    void* data = nullptr;
    BSQ_CUDA_CHECK(cudaMalloc(&data, size_bytes));
    return data;
  }
  void release(void* data) noexcept override { cudaFree(data); }
  void upload(void* device, const void* host, std::size_t size_bytes) override {
    BSQ_CUDA_CHECK(cudaMemcpyAsync(device, host, size_bytes, cudaMemcpyHostToDevice, stream_));
  }
  void download(void* host, const void* device, std::size_t size_bytes) override {
    BSQ_CUDA_CHECK(cudaMemcpyAsync(host, device, size_bytes, cudaMemcpyDeviceToHost, stream_));
    synchronize();
  }
  void fill_zero(void* device, std::size_t size_bytes) override {
    BSQ_CUDA_CHECK(cudaMemsetAsync(device, 0, size_bytes, stream_));
  }
  void synchronize() override { BSQ_CUDA_CHECK(cudaStreamSynchronize(stream_)); }
  std::unique_ptr<CapturedWork> capture(std::function<void()> enqueue) override {
    cudaGraph_t graph = nullptr;
    BSQ_CUDA_CHECK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeGlobal));
    enqueue();
    BSQ_CUDA_CHECK(cudaStreamEndCapture(stream_, &graph));
    return std::make_unique<Graph>(graph, stream_);
  }

  // ---- input and convolution ------------------------------------------------------------------------------------
  void augment(const AugmentRule&, const SampleSource&, const StepInputs*, int, TensorView, std::int32_t*) override {
    no_kernel("augment");
  }
  std::size_t conv2d_scratch_bytes(const ConvGeometry&) override { return 0; }
  void conv2d_forward(const ConvGeometry&, const void*, const float*, void*, void*) override {
    no_kernel("conv2d_forward");
  }
  void conv2d_backward_data(const ConvGeometry&, const void*, const float*, void*, GradMode, void*) override {
    no_kernel("conv2d_backward_data");
  }
  void conv2d_backward_weight(const ConvGeometry&, const void*, const void*, float*, void*) override {
    no_kernel("conv2d_backward_weight");
  }

  // ---- batch norm, shortcut, activation, quantizer ----------------------------------------------------------------
  std::size_t norm_act_scratch_bytes(const NormActGeometry&) override { return 0; }
  void norm_act_forward(const NormActGeometry&, const NormActRule&, const void*, const void*, const NormParameters&,
                        const NormSaved&, void*, void*) override {
    no_kernel("norm_act_forward");
  }
  void norm_act_backward(const NormActGeometry&, const NormActRule&, const void*, const void*, const void*,
                         const NormParameters&, const NormSaved&, void*, void*, GradMode, const NormGradients&,
                         void*) override {
    no_kernel("norm_act_backward");
  }

  // ---- head -------------------------------------------------------------------------------------------------------
  void average_pool_forward(const PoolGeometry&, const void*, float*) override { no_kernel("average_pool_forward"); }
  void average_pool_backward(const PoolGeometry&, const float*, void*) override { no_kernel("average_pool_backward"); }
  void linear_forward(const LinearGeometry&, const float*, const float*, const float*, float*) override {
    no_kernel("linear_forward");
  }
  void linear_backward(const LinearGeometry&, const float*, const float*, const float*, float*, float*,
                       float*) override {
    no_kernel("linear_backward");
  }
  void softmax_cross_entropy(int, int, const float*, const std::int32_t*, float*, const StepInputs*,
                             StepMetrics*) override {
    no_kernel("softmax_cross_entropy");
  }

  // ---- weights ----------------------------------------------------------------------------------------------------
  void weights_from_planes(const DeviceTable<PlaneTensor>&, const float*, const float*, float*, float*,
                           const StepInputs*, StepMetrics*, void*) override {
    no_kernel("weights_from_planes");
  }
  void planes_step(const DeviceTable<PlaneTensor>&, const SgdRule&, float, const StepInputs*, const float*,
                   const float*, float*, float*, float*, float*, void*) override {
    no_kernel("planes_step");
  }
  std::size_t planes_scratch_bytes(const DeviceTable<PlaneTensor>&) override { return 0; }
  void weights_from_fixed(const DeviceTable<FixedTensor>&, const float*, const float*, float*) override {
    no_kernel("weights_from_fixed");
  }
  void fixed_step(const DeviceTable<FixedTensor>&, const SgdRule&, const StepInputs*, const float*, float*, float*,
                  float*, float*, void*) override {
    no_kernel("fixed_step");
  }
  std::size_t fixed_scratch_bytes(const DeviceTable<FixedTensor>&) override { return 0; }
  void sgd_step(std::int64_t numel, const SgdRule& rule, const StepInputs* inputs, const float* gradient,
                float* parameter, float* momentum) override {
    cuda::sgd_step(numel, rule, inputs, gradient, parameter, momentum, stream_);
  }

 private:
  cudaStream_t stream_ = nullptr;
};

}  // namespace

std::unique_ptr<Backend> make_kernel_backend() {
  return std::make_unique<KernelBackend>();
}

}  // namespace bsq::test
