// One picture after the other, operation after operation; threads share pictures.
#include "engine/deployed/deployed_run.h"

#include "engine/deployed/level_operations.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

namespace bsq {
namespace {

std::vector<std::uint8_t> picture_levels(const PixelLevels& pixels, std::span<const std::uint8_t> picture) {
  std::vector<std::uint8_t> levels(picture.size());
  for (std::size_t i = 0; i < picture.size(); ++i) levels[i] = pixels[i % pixels.size()][picture[i]];
  return levels;
}

void write_logits(const DeployedHead& head, const DeployedTensor& input, const std::vector<std::uint8_t>& levels,
                  std::span<float> logits) {
  const auto channels = static_cast<std::size_t>(input.channels);
  std::vector<std::int64_t> sums(channels);
  for (std::size_t first = 0; first < levels.size(); first += channels)
    for (std::size_t c = 0; c < channels; ++c) sums[c] += levels[first + c] - input.grid.zero;
  for (std::size_t o = 0; o < head.offset.size(); ++o) {
    std::int64_t sum = 0;
    for (std::size_t c = 0; c < channels; ++c) sum += sums[c] * head.k[o * channels + c];
    const double product = static_cast<double>(sum) * double{head.scale[o]};
    logits[o] = static_cast<float>(product + double{head.offset[o]});
  }
}

}  // namespace

std::vector<bool> unrounded_tensors(const DeployedNetwork& network, Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::integers) return std::vector<bool>(network.tensors.size(), false);
  return terms_alone(network, arithmetic == Arithmetic::fused_first);
}

DeployedProgram::DeployedProgram(const DeployedNetwork& network, Arithmetic arithmetic)
    : network_(network),
      is_fused_(arithmetic != Arithmetic::integers),
      last_reader_(network.tensors.size()),
      is_number_(unrounded_tensors(network, arithmetic)),
      convolutions_(network.nodes.size()) {
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const DeployedNode& node = network.nodes[i];
    for (const int input : node.inputs) last_reader_[static_cast<std::size_t>(input)] = i;
    if (const auto* convolution = std::get_if<LevelConvolution>(&node.operation))
      convolutions_[i].emplace(*convolution, network.tensors[static_cast<std::size_t>(node.inputs[0])],
                               network.tensors[i + 1]);
  }
}

void DeployedProgram::run_node(std::size_t i, PictureLevels& levels, std::vector<std::vector<float>>& numbers) const {
  const DeployedNode& node = network_.nodes[i];
  const DeployedTensor& output = network_.tensors[i + 1];
  std::vector<LevelImage> inputs;
  for (const int input : node.inputs) {
    const auto read = static_cast<std::size_t>(input);
    inputs.push_back({network_.tensors[read], levels[read], numbers[read]});
  }
  const std::optional<PlannedConvolution>& convolution = convolutions_[i];
  if (is_number_[i + 1]) {
    numbers[i + 1].resize(output.numel());
    return convolution->run(inputs[0].levels, numbers[i + 1]);
  }
  levels[i + 1].resize(output.numel());
  if (convolution)
    return convolution->run(inputs[0].levels, is_fused_ ? SumUse::fused_levels : SumUse::levels, levels[i + 1]);
  apply(node.operation, inputs, output, levels[i + 1]);
}

PictureLevels DeployedProgram::run_one(std::span<const std::uint8_t> picture, std::span<float> logits,
                                       bool keeps_all) const {
  PictureLevels levels(network_.tensors.size());
  std::vector<std::vector<float>> numbers(network_.tensors.size());
  levels[0] = picture_levels(network_.pixels, picture);
  for (std::size_t i = 0; i < network_.nodes.size(); ++i) {
    run_node(i, levels, numbers);
    for (const int input : network_.nodes[i].inputs) {
      const auto read = static_cast<std::size_t>(input);
      if (last_reader_[read] != i) continue;
      numbers[read] = {};
      if (!keeps_all && input != network_.head.input) levels[read] = {};
    }
  }
  const auto last = static_cast<std::size_t>(network_.head.input);
  write_logits(network_.head, network_.tensors[last], levels[last], logits);
  return levels;
}

PictureLevels DeployedProgram::trace(std::span<const std::uint8_t> picture, std::span<float> logits) const {
  require(picture.size() == network_.tensors[0].numel(), "the picture has another size");
  return run_one(picture, logits, /*keeps_all=*/true);
}

std::vector<float> DeployedProgram::run(std::span<const std::uint8_t> pictures, int threads) const {
  const std::size_t bytes = network_.tensors[0].numel();
  const auto classes = static_cast<std::size_t>(network_.head.classes());
  require(pictures.size() % bytes == 0, "{} bytes are no pictures of {}", pictures.size(), bytes);
  const std::size_t count = pictures.size() / bytes;
  std::vector<float> logits(count * classes);
  std::atomic<std::size_t> next = 0;
  std::exception_ptr error;
  std::mutex error_lock;
  const auto work = [&] {
    try {
      for (std::size_t i = next++; i < count; i = next++)
        run_one(pictures.subspan(i * bytes, bytes), std::span(logits).subspan(i * classes, classes), false);
    } catch (...) {
      const std::lock_guard guard(error_lock);
      error = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < std::min<std::size_t>(static_cast<std::size_t>(threads), count); ++i)
      others.emplace_back(work);
    work();
  }
  if (error) std::rethrow_exception(error);
  return logits;
}

std::vector<float> run_deployed(const DeployedNetwork& network, std::span<const std::uint8_t> pictures, int threads,
                                Arithmetic arithmetic) {
  return DeployedProgram(network, arithmetic).run(pictures, threads);
}

PictureLevels trace_deployed(const DeployedNetwork& network, std::span<const std::uint8_t> picture,
                             std::span<float> logits, Arithmetic arithmetic) {
  return DeployedProgram(network, arithmetic).trace(picture, logits);
}

}  // namespace bsq
