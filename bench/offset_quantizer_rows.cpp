// The quantizer of LSQ+.
#include "bench/op_cases.h"
#include "bench/rows.h"

namespace bsq::bench {
namespace {

void add_case(RowList& list, cases::OffsetQuantizerCase c, const Type& type) {
  c.batch = list.batch();
  Backend& backend = *type.backend;
  const DType dtype = dtype_of(type.precision);
  const OffsetQuantizerGeometry g = c.geometry(dtype);
  const Shape shape{g.numel};
  const double elements = real(g.numel), bytes = elements * real(size_of(dtype));
  const auto parameters = [=](Arguments& a) {
    return OffsetQuantizerParameters{a.array(std::vector<float>{c.step}), a.array(std::vector<float>{c.offset})};
  };
  list.add("offset_quantizer_forward", c.name, type, 0, {2 * bytes, elements}, [=, &backend](Arguments& a) {
    return [=, &backend, of = parameters(a), x = a.uniform(dtype, shape), y = a.uniform(dtype, shape)] {
      backend.offset_quantizer_forward({g, of, x, y});
    };
  });
  list.add("offset_quantizer_backward", c.name, type, 0, {3 * bytes, elements}, [=, &backend](Arguments& a) {
    return [=, &backend, of = parameters(a), x = a.uniform(dtype, shape), dy = a.uniform(dtype, shape),
            dx = a.uniform(dtype, shape), sums = a.uniform(32),
            scratch = a.scratch(backend.offset_quantizer_scratch_bytes(g))] {
      backend.offset_quantizer_backward({g, of, 1, x, dy, dx, sums, sums + 16, scratch, GradMode::overwrite});
    };
  });
}

}  // namespace

void add_offset_quantizers(RowList& list) {
  for (const Type& type : storage_types(list))
    for (const cases::OffsetQuantizerCase& c : cases::offset_quantizer_cases())
      if (c.timed) add_case(list, c, type);
}

}  // namespace bsq::bench
