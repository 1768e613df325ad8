#include "data/picture_fit.h"

#include "engine/input/gray.h"
#include "kernels/base/error.h"
#include "kernels/random.h"

#include <algorithm>
#include <cmath>
#include <optional>

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

/// How many times shorter the sides of a part may become before it is resized: by then they are still twice too long.
int reduction_of(ImageSize part, ImageSize size, int most) {
  constexpr int kTimes = 2;
  int reduction = 1;
  while (2 * reduction <= most && part.height >= 2 * reduction * kTimes * size.height &&
         part.width >= 2 * reduction * kTimes * size.width)
    reduction *= 2;
  return reduction;
}

/// The same part of the picture that is so many times shorter, with all pixels that it touches.
PixelWindow reduced(const PixelWindow& window, int reduction) {
  const auto behind = [&](int first, int count) { return (first + count + reduction - 1) / reduction; };
  const int top = window.top / reduction, left = window.left / reduction;
  return {top, left, {behind(window.top, window.size.height) - top, behind(window.left, window.size.width) - left}};
}

/// What was decoded, in as many channels as are asked for.
std::vector<std::uint8_t> in_channels(std::vector<std::uint8_t> rgb, int channels) {
  if (channels == 3) return rgb;
  make_gray(rgb, rgb.data());
  rgb.resize(rgb.size() / 3);
  return rgb;
}

}  // namespace

PictureFit fit_of(const DataConfig& data) {
  if (data.image_size == 0) return {.channels = data.channels};
  constexpr double kShare = 0.875;  // 224 of 256
  const int standard = std::min(static_cast<int>(std::lround(data.image_size / kShare)), kLargestImage.width);
  return {data.resize > 0 ? data.resize : standard, interpolation_named(data.interpolation), data.channels};
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

std::string read_cropped_image(const ImageFile& file, ImageSize size, const PictureFit& fit, const RandomCrop& crop,
                               const AugmentKey& key, std::int64_t number, std::uint8_t* pixels) {
  DecodedImage part = decode_image(file, [&](ImageSize whole, int most) {
    const PixelWindow window = draw_window(whole, crop, key, number);
    const int reduction = crop.reduces ? reduction_of(window.size, size, most) : 1;
    return ImagePart{reduced(window, reduction), reduction};
  });
  const std::vector<std::uint8_t> decoded = in_channels(std::move(part.pixels), fit.channels);
  std::ranges::copy(resize_pixels(decoded, part.window.size, size, {0, 0, size}, fit.interpolation, fit.channels),
                    pixels);
  return part.remark;
}

std::string read_fitted_image(const ImageFile& file, ImageSize size, const PictureFit& fit, std::uint8_t* pixels,
                              const std::string& reason) {
  if (fit.resize == 0 && fit.channels == 3) return read_image(file, size, pixels, reason);
  if (fit.resize == 0) {
    std::vector<std::uint8_t> rgb(3 * static_cast<std::size_t>(size.height) * static_cast<std::size_t>(size.width));
    std::string remark = read_image(file, size, rgb.data(), reason);
    make_gray(rgb, pixels);
    return remark;
  }
  std::optional<Resizing> resizing;
  DecodedImage part = decode_image(file, [&](ImageSize whole, int) {
    const ImageSize larger = resized(whole, fit.resize);
    const PixelWindow middle{margin(larger.height, size.height), margin(larger.width, size.width), size};
    resizing.emplace(whole, larger, middle, fit.interpolation);
    return ImagePart{resizing->source(), 1};
  });
  std::ranges::copy(resizing->resize(in_channels(std::move(part.pixels), fit.channels), fit.channels), pixels);
  return part.remark;
}

}  // namespace bsq
