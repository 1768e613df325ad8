// A network as it runs when it is deployed: integers from the bytes of a picture to the last levels (METHOD 16).
//
// Every tensor is an image of bytes, of which each stands for a number. Nothing here knows how the network was trained.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace bsq {

/// Bytes that stand for numbers: x = unit (level - zero), 0 <= level <= top.
struct LevelGrid {
  float unit = 1;
  int zero = 0;
  int top = 255;

  bool operator==(const LevelGrid&) const = default;
};

/// Of one picture, [height, width, channels]; a vector is an image of one pixel.
struct DeployedTensor {
  std::string name;
  int height = 1;
  int width = 1;
  int channels = 0;
  LevelGrid grid;

  std::size_t numel() const {
    return static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * static_cast<std::size_t>(channels);
  }
};

/// The byte of a pixel as a level: [color][byte].
using PixelLevels = std::vector<std::array<std::uint8_t, 256>>;

/// A convolution, a linear layer (kernel 1), or a norm that reads no convolution (kernel 1, as many groups as
/// channels), with what a norm makes of it. level = zero + rint(float(bias + sum k (x - zero of x)) multiplier), within
/// 0 .. top.
struct LevelConvolution {
  int kernel = 1;
  int stride = 1;
  int padding = 0;
  int groups = 1;
  std::vector<std::int8_t> k;  // [O, K, K, I / groups], within +-127

  // By output channel.
  std::vector<float> scale;        // what 1 of k is worth; above 0
  std::vector<float> offset;       // is added to the sum of scale k x
  std::vector<std::int32_t> bias;  // the offset as a multiple of unit_x scale
  std::vector<float> multiplier;   // unit_x scale / unit_y, each step in float32
};

/// level = rint(float(a x0 + float(b x1 + c))), within 0 .. top: products, which are exact, and sums in double.
struct LevelSum {
  float a = 1;
  float b = 1;
  float c = 0;
};

/// The largest level of each window; what is not in the image belongs to no window.
struct LevelMaximum {
  int kernel = 2;
  int stride = 2;
  int padding = 0;
};

/// Channels of all inputs beside each other, each in the grid of the output: rint(unit (x - zero) / unit_y) + zero_y.
struct LevelConcat {
  std::vector<std::array<std::uint8_t, 256>> levels;  // by input and level
};

/// An image as a vector, channel after channel (PyTorch's order).
struct LevelFlatten {};

using LevelOperation = std::variant<LevelConvolution, LevelSum, LevelMaximum, LevelConcat, LevelFlatten>;

struct DeployedNode {
  std::vector<int> inputs;  // numbers of tensors
  LevelOperation operation;
};

/// The last layer: logit = scale sum k (x - zero) + offset, the sums over all pixels of the tensor. The sum is exact,
/// the product is one in double, of which nothing is lost; the addition rounds once, and then the result to float32.
struct DeployedHead {
  int input = 0;
  std::vector<std::int16_t> k;  // [classes, channels]
  std::vector<float> scale;     // [classes]: what 1 of the sum is worth
  std::vector<float> offset;    // [classes]

  int classes() const { return static_cast<int>(offset.size()); }
};

struct DeployedNetwork {
  PixelLevels pixels;
  std::vector<DeployedTensor> tensors;  // 0: the picture; node i writes tensor i + 1
  std::vector<DeployedNode> nodes;
  DeployedHead head;
};

/// What follows from grids.
float multiplier_of(const LevelGrid& x, float scale, const LevelGrid& y);
LevelSum sum_of(const LevelGrid& x0, const LevelGrid& x1, const LevelGrid& y);
LevelConcat concat_of(const std::vector<LevelGrid>& inputs, const LevelGrid& y);

/// By tensor: whether a convolution writes it and nothing but additions reads it, so that a runtime may leave it
/// unrounded and make the addition a part of the convolution. `first`: only first terms.
std::vector<bool> terms_alone(const DeployedNetwork& network, bool first = false);

}  // namespace bsq
