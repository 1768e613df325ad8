// WebP by libwebp, through its reader of animations: that is PIL's way, also for a single picture.
#include "data/image_formats/image_format.h"

#include <cstring>

#ifdef BSQ_WEBP
#include <memory>

#include <webp/decode.h>
#include <webp/demux.h>
#endif

namespace bsq {
namespace {

bool is_webp(ImageBytes bytes) {
  return bytes.size() >= 16 && begins_with(bytes, "RIFF") && begins_with(bytes.subspan(8), "WEBPVP8");
}

#ifdef BSQ_WEBP
ImageSize read_webp_size(ImageBytes bytes) {
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(bytes.data(), bytes.size(), &features) != VP8_STATUS_OK) throw ImageFault("damaged header");
  return {features.height, features.width};
}

struct DeleteDecoder {
  void operator()(WebPAnimDecoder* decoder) const { WebPAnimDecoderDelete(decoder); }
};

std::string read_webp(ImageBytes bytes, ImageSize size, std::uint8_t* pixels) {
  const WebPData data{bytes.data(), bytes.size()};
  const std::unique_ptr<WebPAnimDecoder, DeleteDecoder> decoder(WebPAnimDecoderNew(&data, nullptr));
  WebPAnimInfo info;
  if (!decoder || WebPAnimDecoderGetInfo(decoder.get(), &info) == 0) throw ImageFault("damaged, or it ends early");
  // What the header says of the canvas and what its reader makes of it.
  if (static_cast<int>(info.canvas_width) != size.width || static_cast<int>(info.canvas_height) != size.height)
    throw ImageFault("the header and the picture differ in size");
  std::uint8_t* canvas = nullptr;
  int milliseconds = 0;
  if (WebPAnimDecoderGetNext(decoder.get(), &canvas, &milliseconds) == 0) throw ImageFault("damaged pixels");
  const std::size_t count = static_cast<std::size_t>(size.height) * static_cast<std::size_t>(size.width);
  for (std::size_t i = 0; i < count; ++i) std::memcpy(pixels + 3 * i, canvas + 4 * i, 3);
  return "";
}
#else
constexpr auto read_webp_size = nullptr;
constexpr auto read_webp = nullptr;
#endif

}  // namespace

ImageFormat webp_format() {
  return {"WebP", {".webp"}, "libwebp-dev", is_webp, read_webp_size, read_webp};
}

}  // namespace bsq
