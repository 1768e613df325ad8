#include "engine/deployed/check_vectors.h"

#include "engine/base/crc32.h"
#include "engine/deployed/deployed_run.h"
#include "kernels/base/error.h"

#include <cstring>

namespace bsq {

CheckVectors make_check(const DeployedNetwork& network, std::span<const std::uint8_t> pictures) {
  const std::size_t bytes = network.tensors[0].numel(), count = pictures.size() / bytes;
  const auto classes = static_cast<std::size_t>(network.head.classes());
  CheckVectors vectors{{pictures.begin(), pictures.end()}, {}, std::vector<float>(count * classes)};
  const DeployedProgram program(network);
  std::vector<Crc32> checksums(network.tensors.size());
  for (std::size_t n = 0; n < count; ++n) {
    const PictureLevels levels =
        program.trace(pictures.subspan(n * bytes, bytes), std::span(vectors.logits).subspan(n * classes, classes));
    for (std::size_t i = 0; i < levels.size(); ++i) checksums[i].add(levels[i]);
  }
  for (const Crc32& checksum : checksums) vectors.checksums.push_back(checksum.value());
  return vectors;
}

std::string first_difference(const DeployedNetwork& network, const CheckVectors& vectors) {
  const CheckVectors own = make_check(network, vectors.pictures);
  for (std::size_t i = 0; i < own.checksums.size(); ++i)
    if (own.checksums[i] != vectors.checksums[i]) return network.tensors[i].name;
  const bool same = std::memcmp(own.logits.data(), vectors.logits.data(), own.logits.size() * sizeof(float)) == 0;
  return same ? "" : "logits";
}

void add_check(const DeployedNetwork& network, const CheckVectors& vectors, TensorFile& file) {
  const DeployedTensor& image = network.tensors[0];
  const auto count = static_cast<std::int64_t>(vectors.pictures.size() / image.numel());
  const std::vector<std::int64_t> checksums(vectors.checksums.begin(), vectors.checksums.end());
  file.tensors.push_back(HostTensor::from<std::uint8_t>(
      "check.pictures", {count, image.height, image.width, image.channels}, std::span(vectors.pictures)));
  file.tensors.push_back(HostTensor::from<std::int64_t>(
      "check.checksums", {static_cast<std::int64_t>(checksums.size())}, std::span(checksums)));
  file.tensors.push_back(
      HostTensor::from<float>("check.logits", {count, network.head.classes()}, std::span(vectors.logits)));
}

std::optional<CheckVectors> read_check(const DeployedNetwork& network, const TensorFile& file) {
  const HostTensor* pictures = file.find("check.pictures");
  if (pictures == nullptr) return std::nullopt;
  const DeployedTensor& image = network.tensors[0];
  const HostTensor &checksums = file.at("check.checksums"), &logits = file.at("check.logits");
  const std::int64_t count = pictures->shape.empty() ? 0 : pictures->shape[0];
  const bool fits = pictures->shape == std::vector<std::int64_t>{count, image.height, image.width, image.channels} &&
                    count > 0 &&
                    checksums.shape == std::vector<std::int64_t>{static_cast<std::int64_t>(network.tensors.size())} &&
                    logits.shape == std::vector<std::int64_t>{count, network.head.classes()};
  if (!fits) fail(ErrorKind::checkpoint, "{}: its check vectors do not fit its network", file.path.string());
  CheckVectors vectors;
  const auto bytes = pictures->values<std::uint8_t>();
  vectors.pictures.assign(bytes.begin(), bytes.end());
  for (const std::int64_t checksum : checksums.values<std::int64_t>())
    vectors.checksums.push_back(static_cast<std::uint32_t>(checksum));
  const auto numbers = logits.values<float>();
  vectors.logits.assign(numbers.begin(), numbers.end());
  return vectors;
}

}  // namespace bsq
