// What weights are made of: every thread takes one tensor at a time.
#include "kernels/cpu/cpu_backend.h"
#include "kernels/weight_counts.h"

namespace bsq {
namespace {

template <typename Args>
void count_tensors(const Args& args, const float* masters) {
  const auto tensors = static_cast<std::int64_t>(args.tensors.host.size());
#pragma omp parallel for schedule(dynamic)
  for (std::int64_t t = 0; t < tensors; ++t)
    args.counts[t] = count_weights(args.tensors.device[t], masters, args.scales[t]);
}

}  // namespace

void CpuBackend::count_planes(const PlaneCountArgs& args) {
  count_tensors(args, args.planes);
}

void CpuBackend::count_fixed(const FixedCountArgs& args) {
  count_tensors(args, args.u);
}

}  // namespace bsq
