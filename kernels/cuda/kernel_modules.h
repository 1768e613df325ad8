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

/// Of all modules, on the current device. What keeps kernels from being loaded beforehand, empty where nothing does:
/// they are then loaded when they are first used. Throws Error(device) where they cannot be loaded at all.
std::string load_kernels();

}  // namespace bsq::cuda
