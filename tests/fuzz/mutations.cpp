#include "tests/fuzz/mutations.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

namespace bsq::fuzz {
namespace {

constexpr std::size_t kMostBytes = 1 << 16;  // of an input

/// SplitMix64.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}

  std::uint64_t roll() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  /// 0 .. below - 1; 0 if there is nothing below.
  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : static_cast<std::size_t>(roll() % limit); }

 private:
  std::uint64_t state_;
};

constexpr std::array<std::int64_t, 17> kEdges = {0,   1,   -1,    2,     7,     8,          9,           127,      128,
                                                 255, 256, 32767, 65535, 65536, 2147483647, -2147483648, 1LL << 32};
constexpr std::array<std::string_view, 29> kWords = {"0",
                                                     "-1",
                                                     "2147483647",
                                                     "2147483648",
                                                     "9223372036854775807",
                                                     "18446744073709551615",
                                                     "1e308",
                                                     "1e999",
                                                     "-0",
                                                     "NaN",
                                                     "null",
                                                     "true",
                                                     "{}",
                                                     "[]",
                                                     "[",
                                                     "{",
                                                     "\"",
                                                     ":",
                                                     ",",
                                                     "\n",
                                                     "\n=====\n",
                                                     "&a [*a]",
                                                     "*a",
                                                     "<<: ",
                                                     "- ",
                                                     "\x1b[2J",
                                                     "\xff\xfe",
                                                     "\\u0000",
                                                     "=="};

void flip_bit(std::string& text, Dice& dice) {
  if (text.empty()) return;
  char& byte = text[dice.below(text.size())];
  byte = static_cast<char>(byte ^ 1 << dice.below(8));
}

void set_byte(std::string& text, Dice& dice) {
  if (!text.empty()) text[dice.below(text.size())] = static_cast<char>(dice.below(256));
}

void cut_end(std::string& text, Dice& dice) {
  text.resize(dice.below(text.size() + 1));
}

void cut_out(std::string& text, Dice& dice) {
  const std::size_t from = dice.below(text.size());
  text.erase(from, 1 + dice.below(std::min<std::size_t>(text.size() - from, 32)));
}

/// Writes a number of 1, 2, 4 or 8 bytes, in either order, over what is there.
void set_number(std::string& text, Dice& dice) {
  const std::size_t width = std::size_t{1} << dice.below(4);
  if (text.size() < width) return;
  const std::int64_t number = kEdges[dice.below(kEdges.size())];
  std::array<char, sizeof(number)> bytes;
  std::memcpy(bytes.data(), &number, sizeof(number));
  if (dice.below(2) == 1) std::reverse(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(width));
  std::memcpy(text.data() + dice.below(text.size() - width + 1), bytes.data(), width);
}

void insert_word(std::string& text, Dice& dice) {
  const std::string_view word = kWords[dice.below(kWords.size())];
  text.insert(dice.below(text.size() + 1), word);
}

/// Puts a word in the place of a number that is written as text.
void replace_digits(std::string& text, Dice& dice) {
  constexpr std::string_view kDigits = "0123456789";
  const std::size_t begin = text.find_first_of(kDigits, dice.below(text.size()));
  if (begin == std::string::npos) return;
  const std::size_t end = std::min(text.find_first_not_of(kDigits, begin), text.size());
  text.replace(begin, end - begin, kWords[dice.below(kWords.size())]);
}

void repeat_part(std::string& text, Dice& dice) {
  const std::size_t from = dice.below(text.size());
  const std::string part = text.substr(from, 1 + dice.below(64));
  for (std::size_t times = 1 + dice.below(8); times > 0; --times) text.insert(from, part);
}

void splice(std::string& text, const std::string& other, Dice& dice) {
  const std::size_t from = dice.below(other.size());
  const std::string part = other.substr(from, dice.below(other.size() - from + 1));
  const std::size_t place = dice.below(text.size() + 1);
  text.replace(place, dice.below(2) == 1 ? part.size() : 0, part);
}

}  // namespace

std::string mutated(std::span<const std::string> seeds, std::uint64_t number) {
  Dice dice(number);
  std::string text = seeds[dice.below(seeds.size())];
  for (std::size_t changes = 1 + dice.below(4); changes > 0; --changes) {
    switch (dice.below(9)) {
      case 0: flip_bit(text, dice); break;
      case 1: set_byte(text, dice); break;
      case 2: cut_end(text, dice); break;
      case 3: cut_out(text, dice); break;
      case 4: set_number(text, dice); break;
      case 5: insert_word(text, dice); break;
      case 6: replace_digits(text, dice); break;
      case 7: repeat_part(text, dice); break;
      default: splice(text, seeds[dice.below(seeds.size())], dice); break;
    }
  }
  if (text.size() > kMostBytes) text.resize(kMostBytes);
  return text;
}

}  // namespace bsq::fuzz
