// The compiler in the CUDA toolkit, which cuDNN loads for the engines that it compiles.
#pragma once

namespace bsq::cuda {

/// Loads NVRTC and its builtins, the latter from beside the former: NVRTC itself looks for them where the loader does,
/// which is elsewhere in Python's packages. Does nothing where they are not found: cuDNN says so when it needs them.
void load_nvrtc();

}  // namespace bsq::cuda
