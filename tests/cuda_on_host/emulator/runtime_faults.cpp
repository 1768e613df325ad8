// Of the runtime's stand-in: what tests want to go wrong.
#include "tests/cuda_on_host/emulator/device.h"
#include "tests/cuda_on_host/emulator/runtime.h"

#include <atomic>
#include <cstdlib>
#include <sstream>

namespace bsq::cuda_on_host {
namespace {

Device device_of_environment() {
  Device device;
  const char* variable = std::getenv("BSQ_CUDA_ON_HOST_DEVICE");
  std::istringstream words(variable == nullptr ? "" : variable);
  for (std::string name; std::getline(words >> std::ws, name, '=');) {
    bool known = true;
    if (name == "count")
      words >> device.count;
    else if (name == "first_uuid")
      words >> device.first_uuid;
    else if (name == "aside_first")
      words >> device.aside_first;
    else if (name == "capability")
      words >> device.capability;
    else if (name == "memory_mib")
      words >> device.memory_mib;
    else if (name == "fails")
      words >> device.fails;
    else if (name == "error")
      words >> device.error;
    else if (name == "good_grids")
      words >> device.good_grids;
    else
      known = false;
    if (!known || !words) report_mistake("BSQ_CUDA_ON_HOST_DEVICE is '%s'; see emulator/device.h", variable);
  }
  return device;
}

struct State {
  Device device = device_of_environment();
  int grids = 0;
  std::atomic<bool> is_lost = false;  // asked by every thread
};

/// Never destroyed: what is, asks it at the end of the program.
State& state() {
  static State& the_state = *new State;
  return the_state;
}

}  // namespace

const Device& device() {
  return state().device;
}

void set_device(const Device& device) {
  state().device = device;
  state().grids = 0;
  state().is_lost = false;
}

cudaError_t error_of_lost_device() {
  return state().is_lost ? cudaErrorIllegalAddress : cudaSuccess;
}

bool next_grid_is_good() {
  if (state().device.good_grids < 0 || state().grids++ < state().device.good_grids) return true;
  state().is_lost = true;
  return false;
}

cudaError_t refuse(const char* call) {
  if (const cudaError_t lost = error_of_lost_device()) return remember(lost);
  return device().fails == call ? remember(static_cast<cudaError_t>(device().error)) : cudaSuccess;
}

}  // namespace bsq::cuda_on_host
