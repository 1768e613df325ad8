// What the check of an exported network runs, and what is to come out.
#include "engine/deployed/deployed_run.h"
#include "tools/export/c/c_source.h"

#include <bit>

namespace bsq {
namespace {

std::uint8_t made_up_byte(int picture, int row, int column, int color) {
  const std::uint32_t at = (static_cast<std::uint32_t>(row) >> (2 * picture)) * 65536U +
                           (static_cast<std::uint32_t>(column) >> (2 * picture));
  std::uint32_t number =
      (at * 3U + static_cast<std::uint32_t>(color)) ^ (0x9e3779b9U * static_cast<std::uint32_t>(picture + 1));
  number = (number ^ (number >> 16)) * 0x85ebca6bU;
  number = (number ^ (number >> 13)) * 0xc2b2ae35U;
  return static_cast<std::uint8_t>((number ^ (number >> 16)) >> 24);
}

}  // namespace

std::vector<std::uint8_t> made_up_picture(int picture, const DeployedTensor& image) {
  std::vector<std::uint8_t> bytes;
  for (int row = 0; row < image.height; ++row)
    for (int column = 0; column < image.width; ++column)
      for (int color = 0; color < image.channels; ++color) bytes.push_back(made_up_byte(picture, row, column, color));
  return bytes;
}

std::vector<std::vector<std::uint32_t>> expected_checksums(const DeployedNetwork& network) {
  std::vector<std::vector<std::uint32_t>> all;
  for (int picture = 0; picture < kCheckedPictures; ++picture) {
    std::vector<float> logits(static_cast<std::size_t>(network.head.classes()));
    const DeployedTensor& image = network.tensors[0];
    const PictureLevels levels = trace_deployed(network, made_up_picture(picture, image), logits);
    std::vector<std::uint32_t>& sums = all.emplace_back();
    for (std::size_t i = 1; i < levels.size(); ++i) {
      std::uint32_t sum = kFirstChecksum;
      for (const std::uint8_t level : levels[i]) sum = mixed_checksum(sum, level);
      sums.push_back(sum);
    }
    std::uint32_t sum = kFirstChecksum;
    for (const float logit : logits) sum = mixed_checksum(sum, std::bit_cast<std::uint32_t>(logit));
    sums.push_back(sum);
  }
  return all;
}

}  // namespace bsq
