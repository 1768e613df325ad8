// kind = operator_cases: caseNN.{x, grad_out} -> an operation -> caseNN.{y, grad_x}, and what else it has, computed in
// float64 and rounded. One function for each operation.
#include "tests/golden/operator_cases.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace bsq::golden {
namespace {

ConvGeometry convolution_of(const OperatorCase& c) {
  const Shape x = c.channels_last("x");
  const ConvGeometry geometry{.batch = static_cast<int>(x[0]),
                              .height = static_cast<int>(x[1]),
                              .width = static_cast<int>(x[2]),
                              .in_channels = static_cast<int>(x[3]),
                              .out_channels = static_cast<int>(c.channels_last("y")[3]),
                              .kernel = c.integer("kernel"),
                              .stride = c.integer("stride"),
                              .padding = c.integer("padding"),
                              .groups = c.integer("groups")};
  if (geometry.output_shape() != c.channels_last("y") || geometry.weight_shape() != c.channels_last("weight"))
    fail(ErrorKind::checkpoint, "{}: the shapes of y and weight are not those of the convolution", c.prefix);
  return geometry;
}

/// A bias is added by the operation that reads a convolution's output: here to what the convolution gives.
void compare_convolution(const OperatorCase& c) {
  constexpr double tolerance = 1e-5;
  const ConvGeometry geometry = convolution_of(c);
  const Buffer x = c.uploaded(c.values("x")), weight = c.uploaded(c.values("weight"));
  const Buffer grad_out = c.uploaded(c.values("grad_out"));
  const auto room = [&](const Shape& shape) {
    return c.uploaded(std::vector<float>(static_cast<std::size_t>(shape.numel())));
  };
  const Buffer y = room(geometry.output_shape()), grad_x = room(geometry.input_shape());
  const Buffer grad_weight = room(geometry.weight_shape());
  const Buffer scratch(c.backend, c.backend.conv2d_scratch_bytes({geometry, kAllPasses}));
  c.backend.conv2d_forward({geometry, x.data(), weight.data(), y.data(), scratch.data()});
  c.backend.conv2d_backward_data(
      {geometry, grad_out.data(), weight.data(), grad_x.data(), GradMode::overwrite, scratch.data()});
  c.backend.conv2d_backward_weight({geometry, x.data(), grad_out.data(), grad_weight.as<float>(), scratch.data()});

  const auto result = [&](const Buffer& buffer) {
    return download_array(c.backend, buffer.as<float>(), buffer.size_bytes() / sizeof(float));
  };
  std::vector<float> sum = result(y);
  if (c.trace.find(c.tensor("bias")) != nullptr) {
    const auto bias = values_at(c.trace, c.tensor("bias"), geometry.out_channels);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += bias[i % bias.size()];
  }
  c.check("y", norm_error(sum, c.values("y")), tolerance);
  c.check("grad_x", norm_error(result(grad_x), c.values("grad_x")), tolerance);
  c.check("grad_weight", norm_error(result(grad_weight), c.values("grad_weight")), tolerance);
}

struct Operator {
  const char* name;
  void (*compare)(const OperatorCase&);
};

constexpr std::array kOperators = {
    Operator{"conv2d", compare_convolution},
    Operator{"max_pool", compare_max_pool},
    Operator{"average_pool", compare_average_pool},
};

}  // namespace

void compare_operator_cases(const TensorFile& trace, Comparison& comparison) {
  const nlohmann::json cases = json_at(trace, "cases");
  on_every_backend(comparison, [&](Backend& backend) {
    for (const nlohmann::json& entry : cases) {
      const auto op = entry.at("op").get<std::string>();
      const std::string prefix = fmt::format("case{:02}", entry.at("case").get<int>());
      const std::string title = fmt::format("{} {} {}", backend.name(), prefix, op);
      const auto* known =
          std::find_if(kOperators.begin(), kOperators.end(), [&](const Operator& each) { return op == each.name; });
      if (known == kOperators.end())
        comparison.check(title + ": is unknown", 1, 0);
      else
        known->compare({backend, trace, entry, prefix, title, comparison});
    }
  });
}

}  // namespace bsq::golden
