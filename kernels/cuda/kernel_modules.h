// Loads every kernel before the first work is captured, where nothing should have to be loaded.
//
// The compiler makes a module of each source file. port.h puts a kernel into each that does nothing but stand for it,
// so that no list of kernels has to be kept.
#pragma once

#include <string>
#include <string_view>

namespace bsq::cuda {

/// Made once by every source file with kernels.
class KernelModule {
 public:
  explicit KernelModule(const void* any_kernel);
};

/// Whether code made for `ptx_version` (90: compute capability 9.0) waits for the previous kernel, and `setting`, what
/// BSQ_PROGRAMMATIC_LAUNCH is in the environment, asks to make use of it; null: it is not set. Not by itself: on an
/// H200 a step of ResNet-20 takes 2 % longer at batch 128 with it, and 1 % less at 512.
constexpr bool launches_overlap(int ptx_version, const char* setting) {
  return ptx_version >= 90 && setting != nullptr && std::string_view(setting) == "1";
}
/// Whether kernels are launched while the one before them ends (device/dependent_launch.cuh). Asked once, of a kernel
/// of any module on the device that is current then: a process has devices of one kind. Throws Error(device) where the
/// device cannot run it.
bool launches_overlap(const void* any_kernel);

/// Of all modules, on the current device. What keeps kernels from being loaded beforehand, empty where nothing does:
/// they are then loaded when they are first used. Throws Error(device) where they cannot be loaded at all.
std::string load_kernels();

}  // namespace bsq::cuda
