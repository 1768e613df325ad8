// Hashes by kernels/base/hash.h: of the 34 MB that a ResNet-20 of 8-bit planes has with its momentum, in milliseconds.
#include "engine/model/state_hash.h"

#include "kernels/base/hash.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <vector>

namespace bsq {
namespace {

/// A text with its length, so that two texts are not taken for two others that read the same together.
std::uint64_t mix_text(std::uint64_t hash, std::string_view text) {
  return hash_of(text, mix_word(hash, text.size()));
}

/// Four streams of words by turns, since each step of one waits for the step before: a third of the time.
std::uint64_t mix_numbers(std::uint64_t hash, std::span<const float> numbers) {
  constexpr std::size_t kStreams = 4;
  const std::span<const std::byte> bytes = std::as_bytes(numbers);
  constexpr std::size_t kStride = kStreams * sizeof(std::uint64_t);
  std::array<std::uint64_t, kStreams> streams{};
  std::size_t at = 0;
  for (; at + kStride <= bytes.size(); at += kStride) {
    std::array<std::uint64_t, kStreams> words;
    std::memcpy(words.data(), bytes.data() + at, kStride);
    for (std::size_t i = 0; i < kStreams; ++i) streams[i] = mix_word(streams[i], words[i]);
  }
  hash = mix_word(hash, numbers.size());
  for (const std::uint64_t stream : streams) hash = mix_word(hash, stream);
  return mix_bytes(hash, bytes.subspan(at));
}

std::uint64_t mix_numbers(std::uint64_t hash, const StoredWeights& weights) {
  for (const std::span<const float> numbers : weights.numbers()) hash = mix_numbers(hash, numbers);
  return hash;
}

}  // namespace

std::uint64_t hash_of(const ModelState& state, std::string_view more) {
  std::uint64_t hash = mix_text(mix_word(kEmptyHash, static_cast<std::uint64_t>(state.batches_tracked)), more);
  for (std::size_t slot = 0; slot < state.weights->size(); ++slot)
    hash = mix_word(hash, static_cast<std::uint64_t>(state.weights->bits(slot)));
  hash = mix_numbers(hash, *state.weights);
  hash = mix_numbers(hash, *state.plain);
  if (state.momentum) hash = mix_numbers(mix_numbers(hash, *state.momentum->weights), *state.momentum->plain);
  return mix_numbers(hash, std::span<const float>(state.statistics));
}

std::uint64_t hash_of_tensors(const TensorFile& file) {
  std::vector<const HostTensor*> tensors;
  for (const HostTensor& tensor : file.tensors) tensors.push_back(&tensor);
  std::ranges::sort(tensors, {}, &HostTensor::name);
  std::uint64_t hash = kEmptyHash;
  for (const HostTensor* tensor : tensors) {
    hash = mix_text(mix_text(hash, tensor->name), name_of(tensor->dtype));
    hash = mix_word(hash, tensor->shape.size());
    for (const std::int64_t dim : tensor->shape) hash = mix_word(hash, static_cast<std::uint64_t>(dim));
    hash = mix_bytes(mix_word(hash, tensor->bytes.size()), tensor->bytes);
  }
  return hash;
}

std::string hash_text(std::uint64_t hash) {
  return fmt::format("{:016x}", hash);
}

}  // namespace bsq
