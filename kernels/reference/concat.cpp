// The oracle: concatenation. Contract: kernels/ops/concat.h.
#include "kernels/reference/elements.h"
#include "kernels/reference/reference_backend.h"

namespace bsq {

void ReferenceBackend::concat_forward(const ConcatForwardArgs& args) {
  const ConcatGeometry& g = args.geometry;
  for (std::int64_t row = 0; row < g.rows; ++row)
    for (int c = 0; c < g.channels; ++c)
      reference::store(g.dtype, args.output, row * g.output_pitch + g.offset + c,
                       args.unit.value() * reference::load(g.dtype, args.input, row * g.input_pitch + c));
}

void ReferenceBackend::concat_backward(const ConcatBackwardArgs& args) {
  const ConcatGeometry& g = args.geometry;
  for (std::int64_t row = 0; row < g.rows; ++row)
    for (int c = 0; c < g.channels; ++c)
      reference::store_gradient(
          g.dtype, args.d_input, row * g.input_pitch + c,
          args.unit.value() * reference::load(g.dtype, args.d_output, row * g.output_pitch + g.offset + c), args.mode);
}

}  // namespace bsq
