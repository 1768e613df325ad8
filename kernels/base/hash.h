// Hashes of 64 bits that are the same on every machine: FNV-1a for names and texts, a faster one for much data.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
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

/// One word into a hash: for a given hash different words give different results, and the other way round, so that two
/// streams of words that differ in one word never meet again.
constexpr std::uint64_t mix_word(std::uint64_t hash, std::uint64_t word) {
  constexpr std::uint64_t odd = 0x9E3779B97F4A7C15ULL;
  hash = (hash ^ word) * odd;
  return hash ^ (hash >> 32);
}

/// `hash` continued with the words of `bytes`, the last one filled up with zeros.
inline std::uint64_t mix_bytes(std::uint64_t hash, std::span<const std::byte> bytes) {
  for (std::size_t position = 0; position < bytes.size(); position += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + position, std::min(sizeof(word), bytes.size() - position));
    hash = mix_word(hash, word);
  }
  return hash;
}

/// Six hex digits, in which all 64 bits take part.
inline std::string short_text(std::uint64_t hash) {
  return fmt::format("{:06x}", (hash ^ (hash >> 24) ^ (hash >> 48)) & 0xffffffU);
}

}  // namespace bsq
