// The pooling operations of kind = operator_cases.
#include "tests/golden/operator_cases.h"

namespace bsq::golden {
namespace {

constexpr double kTolerance = 1e-6;

/// y and grad_x of a case, before they are known.
struct PoolMemory {
  explicit PoolMemory(const OperatorCase& c)
      : x(c.uploaded(c.values("x"))),
        grad_out(c.uploaded(c.values("grad_out"))),
        y(room(c, "y")),
        grad_x(room(c, "x")) {}

  static Buffer room(const OperatorCase& c, const std::string& like) {
    return c.uploaded(std::vector<float>(c.values(like).size(), -1.0F));
  }
  static std::vector<float> read(const OperatorCase& c, const Buffer& buffer) {
    return download_array(c.backend, buffer.as<float>(), buffer.size_bytes() / sizeof(float));
  }

  Buffer x, grad_out, y, grad_x;
};

void require_shape(const OperatorCase& c, const Shape& shape) {
  if (shape != c.channels_last("y"))
    fail(ErrorKind::checkpoint, "{}: the shape of y is not that of the pooling", c.prefix);
}

}  // namespace

/// Inputs are full of ties: the first number wins.
void compare_max_pool(const OperatorCase& c) {
  const Shape x = c.channels_last("x");
  const int kernel = c.integer("kernel"), stride = c.integer("stride"), padding = c.integer("padding");
  const auto windows = [&](std::int64_t size) {
    return count_windows(static_cast<int>(size), kernel, stride, padding, /*ceil_mode=*/false);
  };
  const MaxPoolGeometry geometry{.batch = static_cast<int>(x[0]),
                                 .height = static_cast<int>(x[1]),
                                 .width = static_cast<int>(x[2]),
                                 .channels = static_cast<int>(x[3]),
                                 .kernel = kernel,
                                 .stride = stride,
                                 .padding = padding,
                                 .out_height = windows(x[1]),
                                 .out_width = windows(x[2])};
  require_shape(c, geometry.output_shape());
  const PoolMemory memory(c);
  const Buffer winners(c.backend, static_cast<std::size_t>(geometry.output_shape().numel()));
  c.backend.max_pool_forward({geometry, memory.x.data(), memory.y.data(), winners.as<std::uint8_t>()});
  c.backend.max_pool_backward(
      {geometry, memory.grad_out.data(), winners.as<std::uint8_t>(), memory.grad_x.data(), GradMode::overwrite});
  c.check("y", count_different(PoolMemory::read(c, memory.y), c.values("y")), 0);
  c.check("grad_x", largest_error(PoolMemory::read(c, memory.grad_x), c.values("grad_x")), kTolerance);
}

void compare_average_pool(const OperatorCase& c) {
  const Shape x = c.channels_last("x");
  const int kernel = c.integer("kernel");
  if (c.integer("stride") != kernel || c.integer("padding") != 0)
    fail(ErrorKind::checkpoint, "{}: windows are not side by side", c.prefix);
  const WindowAverageGeometry geometry{.batch = static_cast<int>(x[0]),
                                       .height = static_cast<int>(x[1]),
                                       .width = static_cast<int>(x[2]),
                                       .channels = static_cast<int>(x[3]),
                                       .kernel = kernel,
                                       .out_height = static_cast<int>(x[1]) / kernel,
                                       .out_width = static_cast<int>(x[2]) / kernel};
  require_shape(c, geometry.output_shape());
  const PoolMemory memory(c);
  c.backend.window_average_forward({geometry, memory.x.data(), {}, memory.y.data()});
  c.backend.window_average_backward({geometry, memory.grad_out.data(), {}, memory.grad_x.data(), GradMode::overwrite});
  c.check("y", largest_error(PoolMemory::read(c, memory.y), c.values("y")), kTolerance);
  c.check("grad_x", largest_error(PoolMemory::read(c, memory.grad_x), c.values("grad_x")), kTolerance);
}

}  // namespace bsq::golden
