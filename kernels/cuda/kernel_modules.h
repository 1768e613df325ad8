// Loads every kernel before the first work is captured, where nothing should have to be loaded.
//
// The compiler makes a module of each source file. port.h puts a kernel into each that does nothing but stand for it,
// so that no list of kernels has to be kept.
#pragma once

#include <string>

namespace bsq::cuda {

/// Made once by every source file with kernels.
class KernelModule {
 public:
  explicit KernelModule(const void* any_kernel);
};

/// Whether kernels are launched while the one before them ends: where their code waits for it, as that for compute
/// capability 9.0 and later does (device/dependent_launch.cuh), unless BSQ_PROGRAMMATIC_LAUNCH is 0 in the environment.
/// Asked once, of a kernel of any module on the device that is current then: a process has devices of one kind.
bool launches_overlap(const void* any_kernel);

/// Of all modules, on the current device. What keeps kernels from being loaded beforehand, empty where nothing does:
/// they are then loaded when they are first used. Throws Error(device) where they cannot be loaded at all.
std::string load_kernels();

}  // namespace bsq::cuda
