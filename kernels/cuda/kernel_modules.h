// Loads every kernel before the first work is captured: within a capture nothing should have to be loaded.
//
// The compiler makes a module of each source file. port.h puts an empty kernel into each, by which the module is found,
// so that no list of kernels has to be kept.
#pragma once

#include <string>
#include <string_view>

namespace bsq::cuda {

/// One object per source file with kernels.
class KernelModule {
 public:
  explicit KernelModule(const void* any_kernel);
};

/// Whether code made for `ptx_version` (90: compute capability 9.0) waits for the previous kernel, and `setting` asks
/// to make use of it: the value of BSQ_PROGRAMMATIC_LAUNCH in the environment, null if it is not set. It is off by
/// default: on an H200 a step of ResNet-20 takes 2 % longer at batch 128 with it, and 1 % less at 512.
constexpr bool launches_overlap(int ptx_version, const char* setting) {
  return ptx_version >= 90 && setting != nullptr && std::string_view(setting) == "1";
}
/// Whether kernels are launched while the one before them ends (device/dependent_launch.cuh). Found out once, by a
/// kernel of any module on the device that is current then: a process has devices of one kind. Throws Error(device) if
/// the device cannot run it.
bool launches_overlap(const void* any_kernel);

/// Loads the kernels of all modules on the current device. Returns why they cannot be loaded beforehand, empty if they
/// are: otherwise each is loaded when it is first used. Throws Error(device) if they cannot be loaded at all.
std::string load_kernels();

}  // namespace bsq::cuda
