// The oracle: what weights are made of. Contracts: kernels/ops/weight_counts.h.
#include "kernels/reference/reference_backend.h"
#include "kernels/weight_counts.h"

namespace bsq {

void ReferenceBackend::count_planes(const PlaneCountArgs& args) {
  for (std::size_t t = 0; t < args.tensors.host.size(); ++t)
    args.counts[t] = count_weights(args.tensors.device[t], args.planes, args.scales[t]);
}

void ReferenceBackend::count_fixed(const FixedCountArgs& args) {
  for (std::size_t t = 0; t < args.tensors.host.size(); ++t)
    args.counts[t] = count_weights(args.tensors.device[t], args.u, args.scales[t]);
}

}  // namespace bsq
