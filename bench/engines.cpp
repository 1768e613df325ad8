// Every engine of cuDNN that may serve a layer of ResNet-20, timed: is the one that bsq takes in training the fastest?
// find_plan() chooses it (kernels/cuda/vendor/convolution_plan.h).
//
//   engines [BATCH=128] [LAYER]      on a GPU: one line per layer and pass. bsq's choice (*), then the five fastest.
//                                    Filter gradients of bf16 tensors are those of tf32, from widened operands
//   engines --described [BATCH]      without a GPU: what an H100 would be offered; no times, nothing is compiled
#include "bench/large_cases.h"
#include "kernels/base/error.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/cuda/stream.h"
#include "kernels/cuda/vendor/convolution_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

namespace bsq::cuda {
namespace {

constexpr std::size_t kMostWorkspaceBytes = std::size_t{256} << 20;
constexpr int kRuns = 20;    // in one graph, as in a step
constexpr int kRepeats = 7;  // the median of these counts
constexpr std::size_t kShown = 5;
constexpr const char* kH100 =
    R"({"cudaDeviceId":0,"deviceVer":900,"driverVer":13000,"totalGlobalMem":85017493504,"maxGridSize":[2147483647,65535,)"
    R"(65535],"maxBlockSize":[1024,1024,64],"regsPerBlock":65536,"multiProcessorCount":132,"warpSize":32,)"
    R"("maxSharedMemoryPerBlock":49152,"maxSharedMemoryPerBlockOptin":232448,"reservedSharedMemoryPerBlock":1024,)"
    R"("maxRegistersPerSM":65536,"maxCtasPerSM":32,"maxThreadsPerBlock":1024,"maxThreadsPerSM":2048,"pciDeviceId":0,)"
    R"("isTccDriver":0,"supportCoopLaunch":1,"smClockRateKHz":1980000,"memClockRateKHz":2619000,"l2CacheSize":52428800,)"
    R"("deviceName":"NVIDIA H100 80GB HBM3"})";

/// The layer and pass that a line is about.
struct Question {
  std::string layer;
  ConvGeometry geometry;
  ConvPass pass;
  bool allow_tf32 = false;

  const char* precision() const { return geometry.dtype == DType::bf16 ? "bf16" : allow_tf32 ? "tf32" : "fp32"; }
};

struct Answer {
  std::string text;  // "e40 12.3 us ws 288K"
  double microseconds = 0;
};

/// The device, its memory for operands and a workspace. All of it is null if the device is only described.
struct Bench {
  CudnnTarget target;
  cudaStream_t stream = nullptr;
  std::span<void* const> buffers;  // input, weight, output, workspace

  bool measures() const { return target.is_there(); }
};

double median_microseconds(const Bench& bench, const ConvPlan& plan) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  const auto run = [&] { plan.run(bench.buffers[0], bench.buffers[1], bench.buffers[2], bench.buffers[3]); };
  BSQ_CUDA_CHECK(cudaStreamBeginCapture(bench.stream, cudaStreamCaptureModeRelaxed));
  for (int i = 0; i < kRuns; ++i) run();
  BSQ_CUDA_CHECK(cudaStreamEndCapture(bench.stream, &graph));
  BSQ_CUDA_CHECK(cudaGraphInstantiate(&executable, graph, 0));
  std::vector<double> seconds;
  for (int i = 0; i < kRepeats; ++i) {
    Event begin(cudaEventDefault);
    Event end(cudaEventDefault);
    begin.record(bench.stream);
    BSQ_CUDA_CHECK(cudaGraphLaunch(executable, bench.stream));
    end.record(bench.stream);
    seconds.push_back(end.seconds_since(begin));
  }
  BSQ_CUDA_CHECK(cudaGraphExecDestroy(executable));
  BSQ_CUDA_CHECK(cudaGraphDestroy(graph));
  std::ranges::sort(seconds);
  return seconds[kRepeats / 2] / kRuns * 1e6;
}

bool runs(const Bench& bench, const ConvPlan& plan) {
  return !bench.measures() || plan.try_run(bench.buffers[0], bench.buffers[1], bench.buffers[2], bench.buffers[3]);
}

/// The answer for a plan that runs.
Answer answer_of(const Bench& bench, const ConvPlan& plan) {
  Answer answer{fmt::format("e{}", plan.engine().index)};
  if (bench.measures()) {
    answer.microseconds = median_microseconds(bench, plan);
    answer.text += fmt::format(" {:.1f} us", answer.microseconds);
  }
  answer.text += fmt::format(" ws {}K", plan.workspace_bytes() >> 10);
  return answer;
}

/// Nothing if the engine does not serve this convolution, or may not.
std::optional<Answer> ask(const Bench& bench, const Question& question, ConvEngine engine) {
  if (!is_exact_enough(engine.numerics, question.geometry.dtype, question.allow_tf32)) return std::nullopt;
  const auto begin = std::chrono::steady_clock::now();
  const std::optional<ConvPlan> plan = ConvPlan::of(bench.target, std::move(engine));
  const std::chrono::duration<double, std::milli> planning = std::chrono::steady_clock::now() - begin;
  if (!plan || plan->workspace_bytes() > kMostWorkspaceBytes || !runs(bench, *plan)) return std::nullopt;
  Answer answer = answer_of(bench, *plan);
  answer.text += fmt::format(" plan {:.0f} ms", planning.count());
  return answer;
}

void report(const Bench& bench, const Question& question) {
  const std::optional<ConvGraph> graph = ConvGraph::of(bench.target, question.geometry, question.pass);
  if (!graph) return;
  std::vector<Answer> answers;
  for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK})
    for (ConvEngine& engine : graph->named_by(mode))
      if (auto answer = ask(bench, question, std::move(engine))) answers.push_back(*std::move(answer));
  const std::optional<ConvPlan> chosen =
      find_plan(bench.target, question.geometry, question.pass,
                {.allow_tf32 = question.allow_tf32,
                 .most_workspace_bytes = kMostWorkspaceBytes,
                 .accepts = [&](const ConvPlan& plan) { return runs(bench, plan); }});
  const std::string choice = chosen ? answer_of(bench, *chosen).text : "none";
  std::ranges::stable_sort(answers, {}, &Answer::microseconds);
  std::string text;
  for (std::size_t i = 0; i < std::min(answers.size(), kShown); ++i) text += " | " + answers[i].text;
  fmt::print("{:<18} {:<4} {:<15} *{}{}\n", question.layer, question.precision(), name_of(question.pass), choice, text);
  std::fflush(stdout);
}

void report_layer(const CudnnTarget& target, cudaStream_t stream, const cases::ConvCase& layer) {
  using enum ConvPass;
  const ConvGeometry f32 = layer.geometry(DType::f32);
  const ConvGeometry bf16 = layer.geometry(DType::bf16);
  std::vector<std::unique_ptr<DeviceMemory>> memory;
  std::vector<void*> buffers;
  if (target.is_there()) {
    const auto bytes = [](const Shape& shape) { return sizeof(float) * static_cast<std::size_t>(shape.numel()); };
    for (const std::size_t size :
         {bytes(f32.input_shape()), bytes(f32.weight_shape()), bytes(f32.output_shape()), kMostWorkspaceBytes}) {
      buffers.push_back(memory.emplace_back(std::make_unique<DeviceMemory>(size))->data());
      BSQ_CUDA_CHECK(cudaMemsetAsync(buffers.back(), 0x3C, size, stream));  // 0.0115: no zeros
    }
  }
  const Bench bench{target, stream, buffers};
  for (const ConvPass pass : {forward, backward_data, backward_weight}) {
    if (pass != backward_weight) report(bench, {layer.name, bf16, pass});  // widened, and then as in tf32
    report(bench, {layer.name, f32, pass, true});
    report(bench, {layer.name, f32, pass});
  }
}

void report_all(const CudnnTarget& target, cudaStream_t stream, int batch, const std::string& only) {
  std::vector<cases::ConvCase> layers = cases::conv_cases();
  if (!only.empty())
    for (cases::ConvCase& layer : cases::large_conv_cases()) layers.push_back(std::move(layer));
  for (cases::ConvCase& layer : layers) {
    if (layer.layers == 0 || layer.name.find(only) == std::string::npos) continue;
    layer.batch = batch;
    report_layer(target, stream, layer);
  }
}

int run(std::span<char*> words) {
  const bool described = !words.empty() && std::strcmp(words[0], "--described") == 0;
  if (described) words = words.subspan(1);
  const int batch = words.empty() ? 128 : std::atoi(words[0]);
  if (batch < 1)
    fail(ErrorKind::usage, "engines: a batch of {}; usage: engines [--described] [BATCH] [LAYER]", words[0]);
  const std::string only = words.size() > 1 ? words[1] : "";
  fmt::print("cuDNN {}, batch {}\n", cudnn_version(), batch);
  if (described) {
    report_all(CudnnTarget(kH100), nullptr, batch, only);
    return 0;
  }
  const Stream stream;
  report_all(CudnnTarget(std::make_shared<const CudnnHandle>(stream.get())), stream.get(), batch, only);
  return 0;
}

}  // namespace
}  // namespace bsq::cuda

int main(int argc, char** argv) {
  try {
    return bsq::cuda::run(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
  } catch (const bsq::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return error.exit_code();
  }
}
