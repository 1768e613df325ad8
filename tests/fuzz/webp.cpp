// Pictures in WebP.
#include "tests/fuzz/pictures.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  bsq::fuzz::read_picture(bsq::fuzz::text_of(data, size));
  return 0;
}
