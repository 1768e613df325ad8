// Operations on levels: the plain loops. `device: cpu` runs deployed networks picture by picture instead
// (engine/deployed/deployed_run.h), by instructions for products of bytes.
#include "kernels/cpu/cpu_backend.h"
#include "kernels/plain_levels.h"

namespace bsq {

void CpuBackend::pixels_to_levels(const PixelsToLevelsArgs& args) {
  plain::pixels_to_levels(args);
}
void CpuBackend::convolve_levels(const ConvolveLevelsArgs& args) {
  plain::convolve_levels(args);
}
void CpuBackend::add_levels(const AddLevelsArgs& args) {
  plain::add_levels(args);
}
void CpuBackend::max_pool_levels(const MaxPoolLevelsArgs& args) {
  plain::max_pool_levels(args);
}
void CpuBackend::concat_levels(const ConcatLevelsArgs& args) {
  plain::concat_levels(args);
}
void CpuBackend::flatten_levels(const FlattenLevelsArgs& args) {
  plain::flatten_levels(args);
}
void CpuBackend::classify_levels(const ClassifyLevelsArgs& args) {
  plain::classify_levels(args);
}

}  // namespace bsq
