// Concatenation and dropout.
#include "bench/op_cases.h"
#include "bench/rows.h"

namespace bsq::bench {
namespace {

void add_concat(RowList& list, cases::ConcatCase c, const Type& type) {
  c.batch = list.batch();
  Backend& backend = *type.backend;
  const DType dtype = dtype_of(type.precision);
  const ConcatGeometry g = c.geometry(dtype);
  const Shape part{g.rows, g.input_pitch}, whole{g.rows, g.output_pitch};
  const double elements = real(g.rows * g.channels);
  list.add("concat_forward", c.name, type, 0, {2 * elements * real(size_of(dtype)), elements},
           [=, &backend](Arguments& a) {
             return [=, &backend, x = a.uniform(dtype, part), y = a.uniform(dtype, whole)] {
               backend.concat_forward({g, x, {}, y});
             };
           });
  list.add("concat_backward", c.name, type, 0, {2 * elements * real(size_of(dtype)), elements},
           [=, &backend](Arguments& a) {
             return [=, &backend, dy = a.uniform(dtype, whole), dx = a.uniform(dtype, part)] {
               backend.concat_backward({g, dy, {}, dx, GradMode::overwrite});
             };
           });
}

void add_dropout(RowList& list, cases::DropoutCase c, const Type& type) {
  c.batch = list.batch();
  Backend& backend = *type.backend;
  const DType dtype = dtype_of(type.precision);
  const DropoutGeometry g = c.geometry(dtype);
  const DropoutRule rule = dropout_rule(c.rate);
  const Shape shape{g.batch, g.sample_size};
  const double elements = real(shape.numel());
  const Cost cost{2 * elements * real(size_of(dtype)), elements};
  const auto keys = [=](Arguments& a) { return SampleKeys{1, 5, a.step_inputs(), a.below(50000, g.batch)}; };
  list.add("dropout_forward", c.name, type, 0, cost,
           [=, &backend](Arguments& a) {
             return [=, &backend, of = keys(a), x = a.uniform(dtype, shape), y = a.uniform(dtype, shape)] {
               backend.dropout_forward({g, rule, of, x, {}, y, nullptr});
             };
           },
           {{"batch", g.batch}, {"features", g.sample_size}, {"rate", c.rate}});
  list.add("dropout_backward", c.name, type, 0, cost, [=, &backend](Arguments& a) {
    return [=, &backend, of = keys(a), dy = a.uniform(dtype, shape), dx = a.uniform(dtype, shape)] {
      backend.dropout_backward({g, rule, of, dy, dx, false, GradMode::overwrite});
    };
  });
}

}  // namespace

void add_joining(RowList& list) {
  for (const Type& type : storage_types(list)) {
    for (const cases::ConcatCase& c : cases::concat_cases())
      if (c.timed) add_concat(list, c, type);
    for (const cases::DropoutCase& c : cases::dropout_cases())
      if (c.timed) add_dropout(list, c, type);
  }
}

}  // namespace bsq::bench
