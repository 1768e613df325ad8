#include "models/residual_blocks.h"

namespace bsq {

std::string ResidualBuilder::stages(const std::string& input, int channels, std::span<const int> blocks) {
  std::string x = input;
  int planes = settings_.width;
  for (std::size_t stage = 0; stage < blocks.size(); ++stage, planes *= 2) {
    for (int i = 0; i < blocks[stage]; ++i) {
      x = block(fmt::format("layer{}.{}.", stage + 1, i), x, channels, planes, stage > 0 && i == 0 ? 2 : 1);
      channels = settings_.outputs(planes);
    }
  }
  return x;
}

std::string ResidualBuilder::block(const std::string& name, const std::string& input, int channels, int planes,
                                   int stride) {
  const int outputs = settings_.outputs(planes);
  const std::vector<ConvOptions> convolutions = settings_.convolutions(planes, stride);
  std::string x = input;
  for (std::size_t i = 0; i + 1 < convolutions.size(); ++i) {
    x = conv(fmt::format("{}conv{}", name, i + 1), x, convolutions[i]);
    x = norm(fmt::format("{}bn{}", name, i + 1), {x}, NodeActivation::quantized, fmt::format("{}relu{}", name, i + 1));
  }
  const std::size_t last = convolutions.size();
  x = conv(fmt::format("{}conv{}", name, last), x, convolutions.back());
  std::string shortcut = input;
  if (stride != 1 || channels != outputs) {
    shortcut = conv(name + "downsample.0", input,
                    {.out = outputs,
                     .kernel = 1,
                     .stride = stride,
                     .role = WeightRole::projection,
                     .torch_initializer = torch_projections_});
    shortcut = norm(name + "downsample.1", {shortcut}, NodeActivation::none);
  }
  return norm(fmt::format("{}bn{}", name, last), {x, shortcut}, NodeActivation::quantized,
              fmt::format("{}relu{}", name, last));
}

}  // namespace bsq
