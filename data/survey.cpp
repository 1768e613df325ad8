// Sums are whole numbers, so that their order does not matter.
#include "data/survey.h"

#include "kernels/base/error.h"
#include "kernels/base/hash.h"

#include <fmt/format.h>

#include <cmath>
#include <exception>
#include <map>

namespace bsq {
namespace {

struct PixelSums {
  std::vector<std::uint64_t> sums;     // [channels]
  std::vector<std::uint64_t> squares;  // [channels]

  explicit PixelSums(std::size_t channels) : sums(channels), squares(channels) {}
  void add(std::span<const std::uint8_t> pixels) {
    const std::size_t channels = sums.size();
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      const std::uint64_t value = pixels[i];
      sums[i % channels] += value;
      squares[i % channels] += value * value;
    }
  }
  void add(const PixelSums& other) {
    for (std::size_t channel = 0; channel < sums.size(); ++channel) {
      sums[channel] += other.sums[channel];
      squares[channel] += other.squares[channel];
    }
  }
};

}  // namespace

SetSurvey survey(const Dataset& set) {
  SetSurvey result;
  result.images = set.size();
  const auto count = static_cast<std::size_t>(set.size());
  result.per_class.resize(static_cast<std::size_t>(set.info().num_classes()));
  for (std::size_t i = 0; i < count; ++i)
    ++result.per_class.at(static_cast<std::size_t>(set.label(static_cast<std::int64_t>(i))));
  result.hashes.resize(count);
  std::vector<std::string> faults(count);
  const auto channels = static_cast<std::size_t>(set.info().channels);
  PixelSums total(channels);
#pragma omp parallel
  {
    std::vector<std::uint8_t> pixels(set.info().image_bytes());
    PixelSums own(channels);
#pragma omp for schedule(dynamic, 16)
    for (std::size_t i = 0; i < count; ++i) {
      try {
        set.read(static_cast<std::int64_t>(i), pixels);
        own.add(pixels);
        result.hashes[i] = mix_bytes(kEmptyHash, std::as_bytes(std::span(pixels)));
      } catch (const Error& error) {
        faults[i] = error.what();
      } catch (const std::exception& error) {  // no memory for so large a picture
        faults[i] = fmt::format("{}: {}", set.name(static_cast<std::int64_t>(i)), error.what());
      }
    }
#pragma omp critical
    total.add(own);
  }
  std::size_t read = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (result.hashes[i])
      ++read;
    else
      result.broken.push_back(std::move(faults[i]));
  }
  const double numbers = static_cast<double>(read * set.info().image_bytes() / channels);
  result.mean.resize(channels);
  result.deviation.resize(channels);
  for (std::size_t channel = 0; read > 0 && channel < channels; ++channel) {
    const double mean = static_cast<double>(total.sums[channel]) / numbers;
    const double variance = static_cast<double>(total.squares[channel]) / numbers - mean * mean;
    result.mean[channel] = mean / 255;
    result.deviation[channel] = std::sqrt(std::max(variance, 0.0)) / 255;
  }
  return result;
}

std::vector<ImagePair> images_in_both(const SetSurvey& first, const SetSurvey& second) {
  std::map<std::uint64_t, std::int64_t> known;  // the first image that has a hash
  for (std::size_t i = 0; i < first.hashes.size(); ++i)
    if (first.hashes[i]) known.emplace(*first.hashes[i], static_cast<std::int64_t>(i));
  std::vector<ImagePair> pairs;
  for (std::size_t i = 0; i < second.hashes.size(); ++i) {
    if (!second.hashes[i]) continue;
    if (const auto found = known.find(*second.hashes[i]); found != known.end())
      pairs.push_back({found->second, static_cast<std::int64_t>(i)});
  }
  return pairs;
}

std::vector<ImagePair> images_twice(const SetSurvey& set) {
  std::vector<ImagePair> pairs = images_in_both(set, set);
  std::erase_if(pairs, [](const ImagePair& pair) { return pair.first == pair.second; });
  return pairs;
}

}  // namespace bsq
