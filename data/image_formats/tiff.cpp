// TIFF by libtiff, in its form for display: gray, RGB and palettes of up to 16 bits, in whatever layout and
// compression libtiff knows. What display would have to guess (float samples, CMYK, Lab) is refused.
#include "data/image_formats/image_format.h"

#ifdef BSQ_TIFF
#include <fmt/format.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>

#include <tiffio.h>
#endif

namespace bsq {
namespace {

bool is_tiff(ImageBytes bytes) {
  using namespace std::string_view_literals;
  return begins_with(bytes, "II*\0"sv) || begins_with(bytes, "MM\0*"sv) || begins_with(bytes, "II+\0"sv) ||
         begins_with(bytes, "MM\0+"sv);
}

#ifdef BSQ_TIFF
// Of one strip or tile: no honest one is larger than the largest image of 4 samples of 16 bits.
constexpr tmsize_t kMostBytes = tmsize_t{kLargestImage.height} * kLargestImage.width * 8;

/// A file in memory, and what libtiff says of it.
struct TiffFile {
  explicit TiffFile(ImageBytes file) : bytes(file) {
    // Handlers of this file alone: those of libtiff's older interface are of the whole program.
    const std::unique_ptr<TIFFOpenOptions, void (*)(TIFFOpenOptions*)> options(TIFFOpenOptionsAlloc(),
                                                                               TIFFOpenOptionsFree);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), kMostBytes);
    TIFFOpenOptionsSetErrorHandlerExtR(options.get(), remember, this);
    TIFFOpenOptionsSetWarningHandlerExtR(
        options.get(), [](TIFF*, void*, const char*, const char*, std::va_list) { return 1; }, nullptr);
    tiff.reset(
        TIFFClientOpenExt("image", "rm", this, read, refuse_write, seek, close, size, nullptr, nullptr, options.get()));
    if (!tiff) fail();
  }
  TiffFile(const TiffFile&) = delete;
  TiffFile& operator=(const TiffFile&) = delete;

  [[noreturn]] void fail() const { throw ImageFault(message.empty() ? "damaged" : message); }

  template <typename T>
  T field(std::uint32_t tag, T standard) const {
    T value = standard;
    return TIFFGetFieldDefaulted(tiff.get(), tag, &value) == 1 ? value : standard;
  }

  ImageBytes bytes;
  std::size_t place = 0;
  std::string message;
  std::unique_ptr<TIFF, void (*)(TIFF*)> tiff{nullptr, TIFFClose};

 private:
  static int remember(TIFF*, void* self, const char*, const char* format, std::va_list arguments) {
    std::string& message = static_cast<TiffFile*>(self)->message;
    if (!message.empty()) return 1;  // the first says what is wrong
    char text[256];
    std::vsnprintf(text, sizeof(text), format, arguments);
    message = text;
    return 1;
  }
  static tmsize_t read(thandle_t handle, void* into, tmsize_t count) {
    auto* self = static_cast<TiffFile*>(handle);
    const std::size_t left = self->bytes.size() - std::min(self->place, self->bytes.size());
    const std::size_t taken = std::min(left, static_cast<std::size_t>(std::max<tmsize_t>(count, 0)));
    if (taken > 0) std::memcpy(into, self->bytes.data() + self->place, taken);
    self->place += taken;
    return static_cast<tmsize_t>(taken);
  }
  static tmsize_t refuse_write(thandle_t, void*, tmsize_t) { return 0; }
  static toff_t seek(thandle_t handle, toff_t offset, int whence) {
    auto* self = static_cast<TiffFile*>(handle);
    const std::size_t from = whence == SEEK_CUR ? self->place : whence == SEEK_END ? self->bytes.size() : 0;
    self->place = from + static_cast<std::size_t>(offset);
    return self->place;
  }
  static int close(thandle_t) { return 0; }
  static toff_t size(thandle_t handle) { return static_cast<TiffFile*>(handle)->bytes.size(); }
};

ImageSize size_of(const TiffFile& file) {
  const auto side = [&](std::uint32_t tag) {
    return static_cast<int>(std::min<std::uint32_t>(file.field<std::uint32_t>(tag, 0), 1 << 30));
  };
  return {side(TIFFTAG_IMAGELENGTH), side(TIFFTAG_IMAGEWIDTH)};
}

/// Throws ImageFault for what libtiff's form for display would show otherwise than PIL.
void check_kind(const TiffFile& file) {
  const auto photometric = file.field<std::uint16_t>(TIFFTAG_PHOTOMETRIC, 0xFFFF);
  const auto format = file.field<std::uint16_t>(TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
  const auto bits = file.field<std::uint16_t>(TIFFTAG_BITSPERSAMPLE, 1);
  const auto orientation = file.field<std::uint16_t>(TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
  const std::uint16_t known[] = {PHOTOMETRIC_MINISWHITE, PHOTOMETRIC_MINISBLACK, PHOTOMETRIC_RGB, PHOTOMETRIC_PALETTE,
                                 PHOTOMETRIC_YCBCR};
  if (std::find(std::begin(known), std::end(known), photometric) == std::end(known))
    throw ImageFault("its colours are neither gray nor RGB, a palette or YCbCr; convert it to RGB");
  if (format != SAMPLEFORMAT_UINT || bits > 16)
    throw ImageFault(fmt::format("samples of {} bits that are no whole numbers up to 16 bits; convert it to 8", bits));
  if (orientation > ORIENTATION_BOTLEFT) throw ImageFault("it is stored turned by a quarter; save it upright");
}

ImageSize read_tiff_size(ImageBytes bytes) {
  return size_of(TiffFile(bytes));
}

std::string read_tiff(ImageBytes bytes, ImageSize size, std::uint8_t* pixels) {
  TiffFile file(bytes);
  check_kind(file);
  std::uint16_t extras = 0;
  std::uint16_t* kinds = nullptr;
  TIFFGetFieldDefaulted(file.tiff.get(), TIFFTAG_EXTRASAMPLES, &extras, &kinds);
  const bool has_alpha = extras > 0 && kinds[0] == EXTRASAMPLE_UNASSALPHA;
  const bool is_premultiplied = extras > 0 && kinds[0] == EXTRASAMPLE_ASSOCALPHA;
  if (has_alpha) {  // which would be multiplied into the colours
    std::uint16_t plain = EXTRASAMPLE_ASSOCALPHA;
    TIFFSetField(file.tiff.get(), TIFFTAG_EXTRASAMPLES, 1, &plain);
  }
  const bool is_deep_gray = file.field<std::uint16_t>(TIFFTAG_BITSPERSAMPLE, 1) == 16 &&
                            file.field<std::uint16_t>(TIFFTAG_PHOTOMETRIC, 0) <= PHOTOMETRIC_MINISBLACK;

  std::vector<std::uint32_t> raster(static_cast<std::size_t>(size.height) * static_cast<std::size_t>(size.width));
  constexpr int kStopAtDamage = 1;
  if (TIFFReadRGBAImageOriented(file.tiff.get(), static_cast<std::uint32_t>(size.width),
                                static_cast<std::uint32_t>(size.height), raster.data(), ORIENTATION_TOPLEFT,
                                kStopAtDamage) == 0)
    file.fail();
  for (const std::uint32_t pixel : raster) {
    const std::uint32_t alpha = TIFFGetA(pixel);
    for (const std::uint32_t channel : {TIFFGetR(pixel), TIFFGetG(pixel), TIFFGetB(pixel)}) {
      const bool divides = is_premultiplied && alpha > 0;
      *pixels++ = static_cast<std::uint8_t>(divides ? std::min(255U, 255 * channel / alpha) : channel);
    }
  }
  return is_deep_gray ? kDeepGray : "";
}
#else
constexpr auto read_tiff_size = nullptr;
constexpr auto read_tiff = nullptr;
#endif

}  // namespace

ImageFormat tiff_format() {
  return {"TIFF", {".tif", ".tiff"}, "libtiff-dev", is_tiff, read_tiff_size, read_tiff};
}

}  // namespace bsq
