// FNV-1a, 64 bits: a hash that is the same on every machine, for names and for telling texts apart.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace bsq {

/// The hash of no text: every hash begins with it.
inline constexpr std::uint64_t kEmptyHash = 0xcbf29ce484222325U;

/// `hash` continued with `text`: the same text has the same hash, in pieces or as one.
constexpr std::uint64_t hash_of(std::string_view text, std::uint64_t hash = kEmptyHash) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

/// Six hex digits, in which all 64 bits take part.
inline std::string short_text(std::uint64_t hash) {
  return fmt::format("{:06x}", (hash ^ (hash >> 24) ^ (hash >> 48)) & 0xffffffU);
}

}  // namespace bsq
