#include "data/picture_fit.h"

#include "data/image_file.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

/// The shorter side gets `side` pixels, the longer one as many as that makes it, rounded down.
ImageSize resized(ImageSize size, int side) {
  const auto longer = [&](int a, int b) { return static_cast<int>(std::int64_t{side} * a / b); };
  if (size.height <= size.width) return {side, longer(size.width, size.height)};
  return {longer(size.height, size.width), side};
}

/// Half of what is left over, half to even, as Python rounds.
int margin(int all, int part) {
  return static_cast<int>(std::nearbyint((all - part) / 2.0));
}

}  // namespace

PictureFit fit_of(const DataConfig& data) {
  if (data.image_size == 0) return {};
  constexpr double kShare = 0.875;  // 224 of 256
  const int standard = std::min(static_cast<int>(std::lround(data.image_size / kShare)), kLargestImage.width);
  return {data.resize > 0 ? data.resize : standard, interpolation_named(data.interpolation)};
}

void check_fit_of_model(const DataConfig& data, const std::string& path) {
  const auto is_size = [](int pixels) { return pixels >= 0 && pixels <= kLargestImage.width; };
  const std::vector<std::string>& names = interpolation_names();
  if (is_size(data.image_size) && is_size(data.resize) && (data.resize == 0 || data.resize >= data.image_size) &&
      std::ranges::find(names, data.interpolation) != names.end())
    return;
  fail(ErrorKind::checkpoint, "{}: says to resize pictures to {} ({}) for {}; the file is damaged", path, data.resize,
       data.interpolation, data.image_size);
}

std::string read_fitted_image(const std::filesystem::path& path, ImageSize size, const PictureFit& fit,
                              std::uint8_t* pixels, const std::string& reason) {
  if (fit.resize == 0) return read_image(path, size, pixels, reason);
  const DecodedImage image = decode_image(path);
  const ImageSize larger = resized(image.size, fit.resize);
  const PixelWindow middle{margin(larger.height, size.height), margin(larger.width, size.width), size};
  std::ranges::copy(resize_pixels(image.pixels, image.size, larger, middle, fit.interpolation), pixels);
  return image.remark;
}

}  // namespace bsq
