#include "data/picture_fit.h"

#include "kernels/base/error.h"
#include "kernels/random.h"

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

PixelWindow draw_window(ImageSize picture, const RandomCrop& crop, const AugmentKey& key, std::int64_t number) {
  constexpr int kTries = 10;
  constexpr double kNarrowest = 3.0 / 4, kWidest = 4.0 / 3;
  const double area = static_cast<double>(picture.height) * picture.width;
  for (int i = 0; i < kTries; ++i) {
    const PhiloxCounter bits =
        philox4x32({static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(key.epoch), key.stream,
                    static_cast<std::uint32_t>(1 + i)},  // 0: crop and flip of those that are kept
                   key.seed);
    const double share = crop.least_area + (1 - crop.least_area) * double{uniform_from_bits(bits[0])};
    const double first = std::log(kNarrowest), last = std::log(kWidest);
    const double ratio = std::exp(first + (last - first) * double{uniform_from_bits(bits[1])});
    const auto width = static_cast<int>(std::nearbyint(std::sqrt(area * share * ratio)));
    const auto height = static_cast<int>(std::nearbyint(std::sqrt(area * share / ratio)));
    if (width < 1 || height < 1 || width > picture.width || height > picture.height) continue;
    return {static_cast<int>(bounded_from_bits(bits[2], static_cast<std::uint32_t>(picture.height - height + 1))),
            static_cast<int>(bounded_from_bits(bits[3], static_cast<std::uint32_t>(picture.width - width + 1))),
            {height, width}};
  }
  ImageSize middle = picture;
  const double ratio = static_cast<double>(picture.width) / picture.height;
  if (ratio < kNarrowest) middle.height = static_cast<int>(std::nearbyint(picture.width / kNarrowest));
  if (ratio > kWidest) middle.width = static_cast<int>(std::nearbyint(picture.height * kWidest));
  return {(picture.height - middle.height) / 2, (picture.width - middle.width) / 2, middle};
}

std::string read_cropped_image(const ImageFile& file, ImageSize size, Interpolation interpolation,
                               const RandomCrop& crop, const AugmentKey& key, std::int64_t number,
                               std::uint8_t* pixels) {
  const DecodedImage image = decode_image(file);
  const PixelWindow window = draw_window(image.size, crop, key, number);
  const auto bytes_of = [](int columns) { return static_cast<std::ptrdiff_t>(columns) * DatasetInfo::channels; };
  std::vector<std::uint8_t> part;
  for (int row = window.top; row < window.top + window.size.height; ++row) {
    const auto first = image.pixels.begin() + row * bytes_of(image.size.width) + bytes_of(window.left);
    part.insert(part.end(), first, first + bytes_of(window.size.width));
  }
  std::ranges::copy(resize_pixels(part, window.size, size, {0, 0, size}, interpolation), pixels);
  return image.remark;
}

std::string read_fitted_image(const ImageFile& file, ImageSize size, const PictureFit& fit, std::uint8_t* pixels,
                              const std::string& reason) {
  if (fit.resize == 0) return read_image(file, size, pixels, reason);
  const DecodedImage image = decode_image(file);
  const ImageSize larger = resized(image.size, fit.resize);
  const PixelWindow middle{margin(larger.height, size.height), margin(larger.width, size.width), size};
  std::ranges::copy(resize_pixels(image.pixels, image.size, larger, middle, fit.interpolation), pixels);
  return image.remark;
}

}  // namespace bsq
