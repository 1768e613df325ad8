// Operation after operation of a plan gets its numbers.
#include "engine/deployed/deploy.h"

#include "engine/network/layers/average_pool.h"
#include "engine/network/layers/conv2d.h"
#include "engine/network/layers/linear.h"
#include "engine/network/layers/max_pool.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bsq {
namespace {

constexpr int kMostLevel = 127;        // of filters: what INT8 has on both sides
constexpr int kMostHeadLevel = 32767;  // of the last layer
constexpr double kMostSum = 1 << 30;   // of products, and of a bias: both together are 32-bit integers
constexpr float kRelu6Ceiling = 6.0F;
constexpr float kLeastMaximum = 1e-30F;  // in place of a maximum of 0: every level is 0 then
constexpr int kTop = 255;

/// A filter in integers: what 1 of k is worth in each output channel.
struct IntegerFilter {
  std::vector<int> k;
  std::vector<double> unit;
  bool is_rounded = false;
};

/// The levels that the weights have, or if they have none, or more than `most` to a side: the nearest of those that
/// reach from -most to most in each output channel.
IntegerFilter integer_filter(const ParameterNumbers& numbers, ParameterId weight, int most) {
  const auto outputs = static_cast<std::size_t>(numbers.spec(weight).shape[0]);
  const std::optional<Levels> levels = numbers.levels(weight);
  const auto fits = [&](int k) { return -most <= k && k <= most; };
  if (levels && std::all_of(levels->k.begin(), levels->k.end(), fits)) {
    IntegerFilter filter{.k = levels->k, .unit = levels->unit};
    if (filter.unit.size() == 1) filter.unit.assign(outputs, levels->unit[0]);
    return filter;
  }
  const std::vector<float> values = numbers.values(weight);
  const std::size_t length = values.size() / outputs;
  IntegerFilter filter{.k = {}, .unit = {}, .is_rounded = true};
  for (std::size_t o = 0; o < outputs; ++o) {
    double largest = 0;
    for (std::size_t i = 0; i < length; ++i) largest = std::max(largest, std::abs(double{values[o * length + i]}));
    const double unit = largest > 0 ? largest / most : 1.0;
    filter.unit.push_back(unit);
    for (std::size_t i = 0; i < length; ++i)
      filter.k.push_back(static_cast<int>(std::nearbyint(values[o * length + i] / unit)));
  }
  return filter;
}

class Deployer {
 public:
  Deployer(const Network& network, const DeploymentPlan& plan, const ParameterNumbers& numbers,
           const ValueRanges& ranges, ByteKind bytes)
      : network_(network), plan_(plan), numbers_(numbers), ranges_(ranges), bytes_(bytes) {}

  Deployment run(const InputOptions& input) {
    const LevelGrid grid = picture_grid(input, bytes_);
    const Shape& image = network_.image();
    net().pixels = pixel_levels(input, grid);
    net().tensors.push_back({.name = "images",
                             .height = static_cast<int>(image[0]),
                             .width = static_cast<int>(image[1]),
                             .channels = static_cast<int>(image[2]),
                             .grid = grid});
    for (const PlannedLevels& planned : plan_.levels) {
      DeployedTensor output = output_of(planned);
      LevelOperation operation = operation_of(planned, output);
      net().nodes.push_back({planned.inputs, std::move(operation)});
      net().tensors.push_back(std::move(output));
    }
    add_head();
    return std::move(result_);
  }

 private:
  DeployedNetwork& net() { return result_.network; }
  const Node& node(int i) const { return network_.nodes()[static_cast<std::size_t>(i)]; }
  const DeployedTensor& input_of(const PlannedLevels& planned, std::size_t i = 0) const {
    return result_.network.tensors[static_cast<std::size_t>(planned.inputs[i])];
  }

  DeployedTensor output_of(const PlannedLevels& planned) const {
    const Shape& shape = specs_[static_cast<std::size_t>(planned.traced)].shape;  // [1, H, W, C] or [1, C]
    DeployedTensor output{.name = planned.name, .channels = static_cast<int>(shape[shape.rank - 1]), .grid = {}};
    if (shape.rank == 4) {
      output.height = static_cast<int>(shape[1]);
      output.width = static_cast<int>(shape[2]);
    }
    if (planned.keeps_grid()) {
      output.grid = input_of(planned).grid;
    } else if (planned.has_quantizer()) {
      output.grid = quantizer_grid(planned.activation);
    } else {
      const auto range = ranges_.find(planned.name);
      require(range != ranges_.end(), "{}: its range is not known", planned.name);
      output.grid = grid_of(range->second, bytes_);
    }
    return output;
  }

  /// Levels of a quantizer, up to that of the activation's ceiling.
  LevelGrid quantizer_grid(const ActivationPart& activation) const {
    const int levels = (1 << activation.act_bits) - 1;
    if (bytes_ == ByteKind::signed_zero && levels > kMostLevel)
      fail(ErrorKind::usage,
           "{}: has {} bits, and INT8 whose zero point is 0 holds 7 of them: train with quant.act_bits=7",
           activation.name, activation.act_bits);
    const bool is_learned = activation.activation == Activation::lsq;
    const float scale = std::max(
        is_learned ? numbers_.values(activation.clip).at(0) : numbers_.act_scale(activation.act_scale), kLeastMaximum);
    float ceiling = std::numeric_limits<float>::infinity();
    if (activation.activation == Activation::relu6) ceiling = kRelu6Ceiling;
    if (activation.activation == Activation::pact) ceiling = std::max(numbers_.values(activation.clip).at(0), 0.0F);
    const float unit = scale / static_cast<float>(levels);
    return {.unit = unit,
            .top = static_cast<int>(std::min(static_cast<float>(levels), std::nearbyint(ceiling / unit)))};
  }

  LevelOperation operation_of(const PlannedLevels& planned, const DeployedTensor& output) {
    switch (planned.kind) {
      case LevelKind::convolution: return convolution(planned, output);
      case LevelKind::sum: return sum_of(input_of(planned, 0).grid, input_of(planned, 1).grid, output.grid);
      case LevelKind::maximum: return maximum(planned);
      case LevelKind::concat: return concat(planned, output.grid);
      case LevelKind::flatten: return LevelFlatten{};
    }
    fail(ErrorKind::internal, "{}: no such operation", planned.name);
  }

  /// Averages of windows, which are all of one size.
  IntegerFilter window_filter(const PlannedLevels& planned, int channels, LevelConvolution& result) const {
    const AveragePoolOptions& options = dynamic_cast<const AveragePool&>(*node(planned.pool).layer).options();
    const DeployedTensor& x = input_of(planned);
    result.groups = channels;
    result.kernel = options.kernel > 0 ? options.kernel : x.height / std::max(options.out, 1);
    result.stride = result.kernel;
    const auto pixels = static_cast<std::size_t>(result.kernel) * static_cast<std::size_t>(result.kernel);
    const auto count = static_cast<std::size_t>(channels);
    return {std::vector<int>(count * pixels, 1), std::vector<double>(count, 1.0 / static_cast<double>(pixels))};
  }

  /// Filter and geometry; of a norm alone, 127 for every channel.
  IntegerFilter filter_of(const PlannedLevels& planned, int channels, LevelConvolution& result) {
    if (planned.pool >= 0) return window_filter(planned, channels, result);
    if (planned.product < 0) {
      const auto count = static_cast<std::size_t>(channels);
      result.groups = channels;
      return {std::vector<int>(count, kMostLevel), std::vector<double>(count, 1.0 / kMostLevel)};
    }
    const Node& product = node(planned.product);
    if (product.layer->kind() == "linear")
      return integer_filter(numbers_, dynamic_cast<const Linear&>(*product.layer).weight(), kMostLevel);
    const auto& conv = dynamic_cast<const Conv2d&>(*product.layer);
    result.kernel = conv.options().kernel;
    result.stride = conv.options().stride;
    result.padding = conv.options().padding;
    result.groups = conv.options().groups;
    return integer_filter(numbers_, conv.weight(), kMostLevel);
  }

  LevelConvolution convolution(const PlannedLevels& planned, const DeployedTensor& output) {
    const DeployedTensor& input = input_of(planned);
    LevelConvolution result;
    const IntegerFilter filter = filter_of(planned, output.channels, result);
    if (filter.is_rounded) result_.rounded.push_back(planned.name);
    const auto outputs = static_cast<std::size_t>(output.channels);
    ChannelAffine affine{std::vector<double>(outputs, 1.0), std::vector<double>(outputs, 0.0)};
    if (planned.affine >= 0) affine = affine_of(node(planned.affine), numbers_, output.channels);
    if (planned.product >= 0 && node(planned.product).layer->kind() == "linear") {
      const ChannelAffine own = affine_of(node(planned.product), numbers_, output.channels);
      for (std::size_t o = 0; o < outputs; ++o) affine.c[o] += affine.a[o] * own.c[o];
    }
    const std::size_t length = filter.k.size() / outputs;
    const double largest_sum = static_cast<double>(length) * kMostLevel * kTop;
    if (largest_sum >= kMostSum)
      fail(ErrorKind::usage, "{}: sums of {} products of bytes do not fit 32 bits", planned.name, length);
    for (std::size_t o = 0; o < outputs; ++o)
      add_channel(result, {filter.k.data() + o * length, length}, filter.unit[o] * affine.a[o], affine.c[o], input.grid,
                  output.grid);
    return result;
  }

  /// The sign of the scale goes into k. A bias beyond 2^30 of its units gets larger ones, and k with it.
  static void add_channel(LevelConvolution& result, std::span<const int> k, double signed_scale, double offset,
                          const LevelGrid& x, const LevelGrid& y) {
    const double exact = std::abs(signed_scale);
    const double least = std::abs(offset) / (double{x.unit} * kMostSum);
    const bool is_zero = exact < std::numeric_limits<float>::min();
    const double chosen = is_zero ? std::max(1.0, least) : std::max(exact, least);
    const double factor = is_zero ? 0 : signed_scale / chosen;
    for (const int level : k) result.k.push_back(static_cast<std::int8_t>(std::nearbyint(level * factor)));
    const auto scale = static_cast<float>(chosen);
    const float unit = x.unit * scale;
    result.scale.push_back(scale);
    result.offset.push_back(static_cast<float>(offset));
    result.bias.push_back(static_cast<std::int32_t>(std::nearbyint(offset / unit)));
    result.multiplier.push_back(multiplier_of(x, scale, y));
  }

  LevelMaximum maximum(const PlannedLevels& planned) const {
    const MaxPoolOptions& options = dynamic_cast<const MaxPool&>(*node(planned.pool).layer).options();
    return {options.kernel, options.stride, options.padding};
  }

  LevelConcat concat(const PlannedLevels& planned, const LevelGrid& y) const {
    std::vector<LevelGrid> inputs;
    for (std::size_t i = 0; i < planned.inputs.size(); ++i) inputs.push_back(input_of(planned, i).grid);
    return concat_of(inputs, y);
  }

  void add_head() {
    const Node& last = node(plan_.head);
    const IntegerFilter filter =
        integer_filter(numbers_, dynamic_cast<const Linear&>(*last.layer).weight(), kMostHeadLevel);
    const DeployedTensor& input = net().tensors[static_cast<std::size_t>(plan_.head_input)];
    const double pixels = static_cast<double>(input.height) * input.width;
    DeployedHead& head = net().head;
    head.input = plan_.head_input;
    head.k.assign(filter.k.begin(), filter.k.end());
    for (const double unit : filter.unit)
      head.scale.push_back(static_cast<float>(unit * double{input.grid.unit} / pixels));
    for (const double offset : affine_of(last, numbers_, network_.num_classes()).c)
      head.offset.push_back(static_cast<float>(offset));
  }

  const Network& network_;
  const DeploymentPlan& plan_;
  const ParameterNumbers& numbers_;
  const ValueRanges& ranges_;
  ByteKind bytes_;
  std::vector<TensorSpec> specs_ = network_.tensors(1, DType::f32);
  Deployment result_;
};

}  // namespace

Deployment deploy(const Network& network, const DeploymentPlan& plan, const ParameterNumbers& numbers,
                  const ValueRanges& ranges, const InputOptions& input, ByteKind bytes) {
  require(plan.obstacle.empty(), "a network without a deployed form: {}", plan.obstacle);
  return Deployer(network, plan, numbers, ranges, bytes).run(input);
}

}  // namespace bsq
