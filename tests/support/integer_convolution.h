// A convolution in 64-bit integers, for what must be exact.
#pragma once

#include "kernels/bf16.h"
#include "kernels/ops/convolution.h"

#include <cmath>
#include <vector>

namespace bsq::test {

/// input NHWC, weight OHWI, both integers. Each sum is rounded once, to the geometry's type.
inline std::vector<float> integer_convolution(const ConvGeometry& g, const std::vector<float>& input,
                                              const std::vector<float>& weight) {
  std::vector<float> output;
  for (int n = 0; n < g.batch; ++n)
    for (int y = 0; y < g.out_height(); ++y)
      for (int x = 0; x < g.out_width(); ++x)
        for (int o = 0; o < g.out_channels; ++o) {
          std::int64_t sum = 0;
          for (int tap = 0; tap < g.kernel * g.kernel; ++tap) {
            const int in_y = y * g.stride - g.padding + tap / g.kernel;
            const int in_x = x * g.stride - g.padding + tap % g.kernel;
            if (in_y < 0 || in_y >= g.height || in_x < 0 || in_x >= g.width) continue;
            const int group = o / g.group_outputs();
            const int pixel = ((n * g.height + in_y) * g.width + in_x) * g.in_channels + group * g.group_inputs();
            const int filter = (o * g.kernel * g.kernel + tap) * g.group_inputs();
            for (int i = 0; i < g.group_inputs(); ++i)
              sum += std::llround(input[static_cast<std::size_t>(pixel + i)]) *
                     std::llround(weight[static_cast<std::size_t>(filter + i)]);
          }
          const auto exact = static_cast<float>(sum);
          output.push_back(g.dtype == DType::bf16 ? to_float(to_bfloat16(exact)) : exact);
        }
  return output;
}

}  // namespace bsq::test
