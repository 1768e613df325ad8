// The CRC-32 of zlib, of PNG and of Ethernet.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace bsq {

class Crc32 {
 public:
  void add(std::span<const std::uint8_t> bytes) {
    static const std::array<std::uint32_t, 256> table = make_table();
    for (const std::uint8_t byte : bytes) state_ = table[(state_ ^ byte) & 0xff] ^ (state_ >> 8);
  }
  std::uint32_t value() const { return ~state_; }

 private:
  static std::array<std::uint32_t, 256> make_table() {
    constexpr std::uint32_t polynomial = 0xedb88320;
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
      std::uint32_t value = byte;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? polynomial : 0);
      table[byte] = value;
    }
    return table;
  }

  std::uint32_t state_ = ~std::uint32_t{0};
};

}  // namespace bsq
