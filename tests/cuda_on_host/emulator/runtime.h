// The stand-in for libcudart: the calls bsq makes, on host memory. Streams do their work at once, unless it is recorded
// into a graph. What a call refuses, it refuses as CUDA does: memory that was never allocated, calls during a capture.
#pragma once

#include "tests/cuda_on_host/emulator/device.h"
#include "tests/cuda_on_host/emulator/scheduler.h"

#include <cuda_runtime_api.h>

#include <functional>

namespace bsq::cuda_on_host {

/// Runs `work`, or records it where `stream` is being captured, for `call`.
cudaError_t enqueue(const char* call, cudaStream_t stream, std::function<void()> work);
cudaError_t enqueue_grid(cudaStream_t stream, const void* kernel, const GridShape& shape, std::function<void()> thread);

/// Whether `begin` lies in what cudaMalloc() gave.
bool touches_device_memory(const void* begin);

/// What every call of the runtime returns through: an error stays for cudaGetLastError().
cudaError_t remember(cudaError_t status);
/// As refuse(), and cudaErrorStreamCaptureUnsupported where this thread captures a stream: the capture is then lost, as
/// with CUDA.
cudaError_t refuse_while_capturing(const char* call);

}  // namespace bsq::cuda_on_host
