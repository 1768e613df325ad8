// The plug-in of another version of bsq: nothing of its table but the number may be looked at.
#include "kernels/cuda/plugin.h"

extern "C" const bsq::cuda::Plugin* bsq_cuda_plugin() {
  static const bsq::cuda::Plugin plugin{bsq::cuda::kPluginAbi + 6, nullptr, nullptr};
  return &plugin;
}
