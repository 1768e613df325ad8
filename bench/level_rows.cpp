// Operations on levels, of bytes whatever the type.
#include "bench/op_cases.h"
#include "bench/rows.h"

namespace bsq::bench {
namespace {

void add_convolution(RowList& list, cases::LevelConvCase c, const Type& type) {
  c.batch = list.batch();
  Backend& backend = *type.backend;
  const ConvGeometry g = c.geometry();
  const double bytes = real(g.input_shape().numel() + g.weight_shape().numel() + g.output_shape().numel());
  list.add("convolve_levels", c.name, type, 0, {bytes, g.flops()}, [=, &backend](Arguments& a) {
    ConvolveLevelsArgs args{.geometry = g, .input_zero = c.input_zero, .range = c.range};
    args.input = a.bytes(g.input_shape().numel());
    args.k = reinterpret_cast<const std::int8_t*>(a.bytes(g.weight_shape().numel()));
    args.start = a.below(1000, g.out_channels);
    args.multiplier = a.uniform(g.out_channels, 1e-4F, 1e-3F);
    args.output = a.bytes(g.output_shape().numel());
    return [=, &backend] { backend.convolve_levels(args); };
  });
}

void add_sum(RowList& list, const cases::LevelSumCase& c, const Type& type) {
  Backend& backend = *type.backend;
  const std::int64_t numel = list.batch() * c.numel;
  list.add("add_levels", c.name, type, 0, {3 * real(numel), 4 * real(numel)}, [=, &backend](Arguments& a) {
    const AddLevelsArgs args{numel, c.a, c.b, c.c, c.top, a.bytes(numel), a.bytes(numel), a.bytes(numel)};
    return [=, &backend] { backend.add_levels(args); };
  });
}

void add_classifier(RowList& list, const cases::LevelImageCase& c, const Type& type) {
  Backend& backend = *type.backend;
  const std::int64_t numel = std::int64_t{list.batch()} * c.pixels * c.channels;
  list.add("classify_levels", c.name, type, 0, {real(numel), real(numel)}, [=, &backend](Arguments& a) {
    ClassifyLevelsArgs args{list.batch(), c.pixels, c.channels, c.classes, c.input_zero, a.bytes(numel)};
    args.k = a.array(std::vector<std::int16_t>(static_cast<std::size_t>(c.classes * c.channels), 3));
    args.scale = a.uniform(c.classes);
    args.offset = a.uniform(c.classes);
    args.logits = a.uniform(std::int64_t{list.batch()} * c.classes);
    return [=, &backend] { backend.classify_levels(args); };
  });
}

}  // namespace

void add_levels(RowList& list) {
  const Type type = float_type(list);
  for (const cases::LevelConvCase& c : cases::level_conv_cases())
    if (c.timed) add_convolution(list, c, type);
  for (const cases::LevelSumCase& c : cases::level_sum_cases())
    if (c.timed) add_sum(list, c, type);
  for (const cases::LevelImageCase& c : cases::level_image_cases())
    if (c.timed) add_classifier(list, c, type);
}

}  // namespace bsq::bench
