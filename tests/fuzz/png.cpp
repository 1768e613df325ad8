// Pictures in PNG: as they are, and with the checksums that their chunks should have, without which nothing changed
// gets past the first look of libpng.
#include "tests/fuzz/pictures.h"

#include <array>
#include <string>

namespace {

constexpr std::size_t kSignatureBytes = 8;
constexpr std::size_t kLengthBytes = 4;

std::uint32_t crc_of(std::string_view bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> made{};
    for (std::uint32_t byte = 0; byte < made.size(); ++byte) {
      std::uint32_t crc = byte;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc % 2 == 1 ? 0xedb88320U : 0);
      made[byte] = crc;
    }
    return made;
  }();
  std::uint32_t crc = ~0U;
  for (const char byte : bytes) crc = (crc >> 8) ^ table[(crc ^ static_cast<unsigned char>(byte)) & 0xff];
  return ~crc;
}

std::uint32_t number_at(std::string_view bytes, std::size_t place) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) number = number << 8 | static_cast<unsigned char>(bytes[place + i]);
  return number;
}

/// Chunks are length, type, data, checksum of type and data.
std::string with_checksums(std::string_view bytes) {
  std::string mended(bytes);
  for (std::size_t chunk = kSignatureBytes; chunk + 3 * kLengthBytes <= mended.size();) {
    const std::size_t covered = std::size_t{number_at(mended, chunk)} + kLengthBytes;
    const std::size_t checksum = chunk + kLengthBytes + covered;
    if (checksum + kLengthBytes > mended.size()) break;
    const std::uint32_t crc = crc_of(std::string_view(mended).substr(chunk + kLengthBytes, covered));
    for (std::size_t i = 0; i < kLengthBytes; ++i)
      mended[checksum + i] = static_cast<char>(crc >> (24 - 8 * static_cast<int>(i)));
    chunk = checksum + kLengthBytes;
  }
  return mended;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes = bsq::fuzz::text_of(data, size);
  const std::string mended = with_checksums(bytes);
  bsq::fuzz::read_picture(mended);
  if (mended != bytes) bsq::fuzz::read_picture(bytes);
  return 0;
}
