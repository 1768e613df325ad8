// Pooling over windows, and flattening.
#include "bench/large_cases.h"
#include "bench/rows.h"

namespace bsq::bench {
namespace {

double bytes_of(const Shape& shape, DType dtype) {
  return real(shape.numel()) * real(size_of(dtype));
}

nlohmann::ordered_json to_json(const Shape& input) {
  return {{"batch", input[0]}, {"height", input[1]}, {"width", input[2]}, {"channels", input[3]}};
}

void add_max_pool(RowList& list, const cases::MaxPoolCase& c, const Type& type) {
  Backend& backend = *type.backend;
  const MaxPoolGeometry g = c.geometry(dtype_of(type.precision));
  const Shape in = g.input_shape(), out = g.output_shape();
  const double outputs = real(out.numel());
  // a byte a winner; of each number in a window a comparison, or (backward) a sum
  const Cost cost{bytes_of(in, g.dtype) + bytes_of(out, g.dtype) + outputs, outputs * g.kernel * g.kernel};
  nlohmann::ordered_json peer = to_json(in);
  peer.update({{"kernel", g.kernel}, {"stride", g.stride}, {"padding", g.padding}});
  list.add(
      "max_pool_forward", c.name, type, 1, cost,
      [=, &backend](Arguments& a) {
        return [=, &backend, x = a.uniform(g.dtype, in), y = a.uniform(g.dtype, out),
                winners = static_cast<std::uint8_t*>(a.scratch(static_cast<std::size_t>(outputs)))] {
          backend.max_pool_forward({g, x, y, winners});
        };
      },
      peer);
  list.add(
      "max_pool_backward", c.name, type, 1, cost,
      [=, &backend](Arguments& a) {
        auto* winners = static_cast<std::uint8_t*>(a.scratch(static_cast<std::size_t>(outputs)));
        void* x = a.uniform(g.dtype, in);
        void* dy = a.uniform(g.dtype, out);
        backend.max_pool_forward({g, x, dy, winners});
        return [=, &backend] { backend.max_pool_backward({g, dy, winners, x}); };
      },
      peer);
}

void add_window_average(RowList& list, const cases::WindowAverageCase& c, const Type& type) {
  Backend& backend = *type.backend;
  const WindowAverageGeometry g = c.geometry(dtype_of(type.precision));
  const Shape in = g.input_shape(), out = g.output_shape();
  const Cost cost{bytes_of(in, g.dtype) + bytes_of(out, g.dtype), real(in.numel())};
  nlohmann::ordered_json peer = to_json(in);
  peer.update({{"windows_high", g.out_height}, {"windows_wide", g.out_width}});
  list.add(
      "window_average_forward", c.name, type, 1, cost,
      [=, &backend](Arguments& a) {
        return [=, &backend, x = a.uniform(g.dtype, in), y = a.uniform(g.dtype, out)] {
          backend.window_average_forward({g, x, {}, y});
        };
      },
      peer);
  list.add(
      "window_average_backward", c.name, type, 1, cost,
      [=, &backend](Arguments& a) {
        return [=, &backend, dx = a.uniform(g.dtype, in), dy = a.uniform(g.dtype, out)] {
          backend.window_average_backward({g, dy, {}, dx});
        };
      },
      peer);
}

void add_flatten(RowList& list, const cases::FlattenCase& c, const Type& type) {
  Backend& backend = *type.backend;
  const FlattenGeometry g = c.geometry(dtype_of(type.precision));
  const Shape image{g.batch, g.pixels, g.channels};
  const std::int64_t numbers = image.numel();
  const Cost cost{bytes_of(image, g.dtype) + bytes_of(image, DType::f32), real(numbers)};
  list.add("flatten_forward", c.name, type, 1, cost, [=, &backend](Arguments& a) {
    return [=, &backend, x = a.uniform(g.dtype, image), y = a.uniform(numbers)] {
      backend.flatten_forward({g, x, {}, y});
    };
  });
  list.add("flatten_backward", c.name, type, 1, cost, [=, &backend](Arguments& a) {
    return [=, &backend, dx = a.uniform(g.dtype, image), dy = a.uniform(numbers)] {
      backend.flatten_backward({g, dy, {}, dx});
    };
  });
}

}  // namespace

void add_pooling(RowList& list) {
  const auto each = [&](const auto& cases, auto add) {
    for (auto c : cases) {
      c.batch = list.batch();
      for (const Type& type : storage_types(list)) add(list, c, type);
    }
  };
  each(cases::large_max_pool_cases(), add_max_pool);
  each(cases::large_window_average_cases(), add_window_average);
  each(cases::large_flatten_cases(), add_flatten);
}

}  // namespace bsq::bench
