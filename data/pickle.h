// Python's pickles, as much of them as plain data needs: numbers, texts, lists, dictionaries and numpy's arrays of
// bytes, in protocols 1 to 5. Nothing is imported and nothing is executed: a pickle that asks for anything else is
// refused by name.
//
// The work, and the memory, grow with the length of the file and no faster: what a file merely claims costs nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bsq {

/// A value of a pickle. Those of a list, tuple or dictionary (key, value, key, ...) are named by number.
struct PickleValue {
  enum class Kind : std::uint8_t { none, number, text, list, tuple, dictionary, name, type, array };

  Kind kind = Kind::none;
  std::int64_t number = 0;
  std::size_t begin = 0;  // of a text, of the name of a type or of an array's numbers, in Pickle's bytes
  std::size_t size = 0;
  std::vector<std::size_t> members = {};  // of a list, tuple or dictionary; the shape of an array
};

class Pickle {
 public:
  /// Throws Error(data), naming `path` and the byte, for whatever is no such pickle.
  Pickle(std::vector<std::uint8_t> bytes, const std::filesystem::path& path);
  static Pickle read(const std::filesystem::path& path);

  const PickleValue& root() const { return values_.back(); }
  const PickleValue& value(std::size_t number) const { return values_.at(number); }
  std::string_view text(const PickleValue& value) const;
  std::span<const std::uint8_t> bytes_of(const PickleValue& value) const;
  /// What a dictionary has under a text, or null.
  const PickleValue* find(const PickleValue& dictionary, std::string_view key) const;

 private:
  friend class PickleReader;
  std::vector<std::uint8_t> bytes_;  // the file, and behind it what had to be decoded
  std::vector<PickleValue> values_;  // the root is the last one
};

}  // namespace bsq
