// What the device of the runtime's stand-in is like and what goes wrong with it: steered by tests, or, in a program
// that tests run, by the environment: BSQ_CUDA_ON_HOST_DEVICE="capability=75 memory_mib=2", with Device's members.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>

namespace bsq::cuda_on_host {

struct Device {
  int count = 1;
  int first_uuid = 1;  // of the devices, counted up: processes with the same number see the same ones
  int capability = 90;
  std::size_t memory_mib = 16384;
  std::string fails = {};    // this call, "cudaMalloc", always fails
  int error = 0;             // so: a cudaError_t
  int good_grids = -1;       // so many kernels run, the next one loses the device by an illegal access; -1: all run
  bool aside_first = false;  // where a graph leaves it open, what streams other than its first do comes first, or last
};

const Device& device();
/// A fresh one: nothing is lost. Memory stays allocated.
void set_device(const Device& device);

/// The error that every call returns once a kernel has gone wrong.
cudaError_t error_of_lost_device();
/// Counts the kernels. False for the one that goes wrong: it must not run.
bool next_grid_is_good();
/// What keeps `call` from doing its work: the lost device, or that tests want it to fail. Remembered.
cudaError_t refuse(const char* call);

}  // namespace bsq::cuda_on_host
