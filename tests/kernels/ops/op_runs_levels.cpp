// Runs of the operations on levels. See op_runs.h.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/random_tensors.h"

#include <limits>

namespace bsq::test {
namespace {

std::vector<std::uint8_t> random_levels(RandomTensors& random, std::int64_t count) {
  return random.integers<std::uint8_t>(count, 256);
}

/// Filters of +-127 on levels of 255, and a start from which their sums come to either end.
void make_largest(const cases::LevelConvCase& c, LevelInputs& inputs) {
  const std::size_t length = inputs.k.size() / inputs.start.size();
  const std::int64_t most = std::numeric_limits<std::int32_t>::max(),
                     sum = std::int64_t{127} * 255 * std::ssize(inputs.k);
  inputs.x.assign(inputs.x.size(), 255);
  for (std::size_t o = 0; o < inputs.start.size(); ++o) {
    const std::int64_t sign = o % 2 == 0 ? 1 : -1;
    std::fill_n(inputs.k.begin() + static_cast<std::ptrdiff_t>(o * length), length,
                static_cast<std::int8_t>(sign * 127));
    inputs.start[o] = static_cast<std::int32_t>(sign * (most - sum / c.out_channels));
    inputs.multiplier[o] = 5e-8F / static_cast<float>(1 + o);
  }
}

/// Numbers k / 2 within the range.
void make_halves(LevelInputs& inputs) {
  for (std::int8_t& k : inputs.k) k = static_cast<std::int8_t>(k % 2);
  for (std::uint8_t& level : inputs.x) level %= 4;
  for (std::int32_t& start : inputs.start) start %= 30;
  inputs.multiplier.assign(inputs.multiplier.size(), 0.5F);
}

}  // namespace

Outputs run_pixels_to_levels(Backend& backend) {
  RunMemory memory(backend);
  for (const int channels : {1, 3}) {
    const std::string name = channels == 1 ? "gray" : "colors";
    RandomTensors random("pixels " + name);
    const std::uint8_t* table = memory.input("table " + name, random_levels(random, 256 * channels));
    const std::uint8_t* pictures = memory.input("pictures " + name, random_levels(random, 77 * channels));
    backend.pixels_to_levels({77, channels, table, pictures, memory.output<std::uint8_t>(name, 77 * channels)});
  }
  return memory.finish();
}

LevelInputs make_inputs(const cases::LevelConvCase& c) {
  const ConvGeometry g = c.geometry();
  RandomTensors random("convolution of levels " + c.name);
  LevelInputs inputs;
  inputs.x = random_levels(random, g.input_shape().numel());
  for (const std::int32_t k : random.integers(g.weight_shape().numel(), 255))
    inputs.k.push_back(static_cast<std::int8_t>(k - 127));
  for (const std::int32_t start : random.integers(g.out_channels, 40000)) inputs.start.push_back(start - 20000);
  inputs.multiplier = random.uniform(g.out_channels, 0.0005F, 0.01F);
  if (c.contents == cases::LevelContents::largest) make_largest(c, inputs);
  if (c.contents == cases::LevelContents::halves) make_halves(inputs);
  return inputs;
}

Outputs run_convolve_levels(Backend& backend, const cases::LevelConvCase& c, const LevelInputs& inputs) {
  RunMemory memory(backend);
  ConvolveLevelsArgs args{.geometry = c.geometry(), .input_zero = c.input_zero, .range = c.range};
  args.input = memory.input("input", inputs.x);
  args.k = memory.input("k", inputs.k);
  args.start = memory.input("start", inputs.start);
  args.multiplier = memory.input("multiplier", inputs.multiplier);
  args.output = memory.output<std::uint8_t>("output", args.geometry.output_shape().numel());
  backend.convolve_levels(args);
  return memory.finish();
}

LevelInputs make_inputs(const cases::LevelSumCase& c) {
  RandomTensors random("sum of levels " + c.name);
  LevelInputs inputs;
  inputs.x = random_levels(random, c.batch * c.numel);
  inputs.x1 = random_levels(random, c.batch * c.numel);
  return inputs;
}

Outputs run_add_levels(Backend& backend, const cases::LevelSumCase& c, const LevelInputs& inputs) {
  RunMemory memory(backend);
  const std::int64_t numel = c.batch * c.numel;
  const std::uint8_t* x0 = memory.input("x0", inputs.x);
  const std::uint8_t* x1 = memory.input("x1", inputs.x1);
  backend.add_levels({numel, c.a, c.b, c.c, c.top, x0, x1, memory.output<std::uint8_t>("output", numel)});
  return memory.finish();
}

LevelInputs make_inputs(const cases::LevelMaximumCase& c) {
  RandomTensors random("largest levels " + c.name);
  LevelInputs inputs;
  inputs.x = random_levels(random, c.geometry(DType::u8).input_shape().numel());
  return inputs;
}

Outputs run_max_pool_levels(Backend& backend, const cases::LevelMaximumCase& c, const LevelInputs& inputs) {
  RunMemory memory(backend);
  const MaxPoolGeometry g = c.geometry(DType::u8);
  const std::uint8_t* input = memory.input("input", inputs.x);
  backend.max_pool_levels({g, input, memory.output<std::uint8_t>("output", g.output_shape().numel())});
  return memory.finish();
}

LevelInputs make_inputs(const cases::LevelConcatCase& c) {
  RandomTensors random("levels beside each other " + c.name);
  const std::int64_t pixels = std::int64_t{c.batch} * c.pixels;
  LevelInputs inputs;
  inputs.x = random_levels(random, pixels * c.channels);
  inputs.table = random_levels(random, 256);
  inputs.output_before = random_levels(random, pixels * c.output_channels);
  return inputs;
}

Outputs run_concat_levels(Backend& backend, const cases::LevelConcatCase& c, const LevelInputs& inputs) {
  RunMemory memory(backend);
  ConcatLevelsArgs args{std::int64_t{c.batch} * c.pixels, c.channels, c.first, c.output_channels};
  args.table = memory.input("table", inputs.table);
  args.input = memory.input("input", inputs.x);
  args.output = memory.in_out("output", inputs.output_before);
  backend.concat_levels(args);
  return memory.finish();
}

LevelInputs make_inputs(const cases::LevelImageCase& c) {
  RandomTensors random("image of levels " + c.name);
  LevelInputs inputs;
  inputs.x = random_levels(random, std::int64_t{c.batch} * c.pixels * c.channels);
  for (const std::int32_t k : random.integers(c.classes * c.channels, 65535))
    inputs.head_k.push_back(static_cast<std::int16_t>(k - 32767));
  inputs.multiplier = random.uniform(c.classes, 1e-6F, 1e-4F);
  inputs.offset = random.uniform(c.classes, -1, 1);
  return inputs;
}

Outputs run_flatten_levels(Backend& backend, const cases::LevelImageCase& c, const LevelInputs& inputs) {
  RunMemory memory(backend);
  const std::uint8_t* input = memory.input("input", inputs.x);
  backend.flatten_levels(
      {c.batch, c.pixels, c.channels, input, memory.output<std::uint8_t>("output", std::ssize(inputs.x))});
  return memory.finish();
}

Outputs run_classify_levels(Backend& backend, const cases::LevelImageCase& c, const LevelInputs& inputs) {
  RunMemory memory(backend);
  ClassifyLevelsArgs args{c.batch, c.pixels, c.channels, c.classes, c.input_zero};
  args.input = memory.input("input", inputs.x);
  args.k = memory.input("k", inputs.head_k);
  args.scale = memory.input("scale", inputs.multiplier);
  args.offset = memory.input("offset", inputs.offset);
  args.logits = memory.output<float>("logits", std::int64_t{c.batch} * c.classes);
  backend.classify_levels(args);
  return memory.finish();
}

}  // namespace bsq::test
