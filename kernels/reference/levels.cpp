// Operations on levels: the plain loops are the definition.
#include "kernels/reference/reference_backend.h"
#include "kernels/plain_levels.h"

namespace bsq {

void ReferenceBackend::pixels_to_levels(const PixelsToLevelsArgs& args) {
  plain::pixels_to_levels(args);
}
void ReferenceBackend::convolve_levels(const ConvolveLevelsArgs& args) {
  plain::convolve_levels(args);
}
void ReferenceBackend::add_levels(const AddLevelsArgs& args) {
  plain::add_levels(args);
}
void ReferenceBackend::max_pool_levels(const MaxPoolLevelsArgs& args) {
  plain::max_pool_levels(args);
}
void ReferenceBackend::concat_levels(const ConcatLevelsArgs& args) {
  plain::concat_levels(args);
}
void ReferenceBackend::flatten_levels(const FlattenLevelsArgs& args) {
  plain::flatten_levels(args);
}
void ReferenceBackend::classify_levels(const ClassifyLevelsArgs& args) {
  plain::classify_levels(args);
}

}  // namespace bsq
