// A header of 512 bytes before each file, whose content is filled up to a multiple of that; two headers of zeros at the
// end.
#include "data/tar.h"

#include "engine/files/posix_file.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>
#include <string_view>

namespace bsq {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLongestName = 1 << 16;  // and other records about the file that follows

using Block = std::array<char, kTarBlock>;

std::string_view text_at(const Block& block, std::size_t offset, std::size_t length) {
  const std::string_view field(block.data() + offset, length);
  return field.substr(0, std::min(field.find('\0'), field.size()));
}

/// Octal digits, or a binary number behind a byte of 0x80; nothing if it is neither.
std::optional<std::int64_t> number_at(const Block& block, std::size_t offset, std::size_t length) {
  std::uint64_t value = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(block.data()) + offset;
  if (bytes[0] == 0x80) {
    for (std::size_t i = 1; i < length; ++i) {
      if (value >> 55 != 0) return std::nullopt;
      value = value << 8 | bytes[i];
    }
    return static_cast<std::int64_t>(value);
  }
  std::string_view digits = text_at(block, offset, length);
  while (!digits.empty() && digits.front() == ' ') digits.remove_prefix(1);
  while (!digits.empty() && digits.back() == ' ') digits.remove_suffix(1);
  if (digits.empty()) return 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
  if (code != std::errc() || end != digits.data() + digits.size() || value >> 62 != 0) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

/// The sum of all bytes, those of the sum itself as spaces.
std::int64_t sum_of(const Block& block) {
  constexpr std::size_t kFirst = 148, kLast = 156;
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < block.size(); ++i)
    sum += i >= kFirst && i < kLast ? ' ' : static_cast<unsigned char>(block[i]);
  return sum;
}

/// What records before a file say of it.
struct Announced {
  std::string name;
  std::optional<std::int64_t> bytes;
};

class TarReader {
 public:
  explicit TarReader(const fs::path& archive)
      : path_(archive), file_(PosixFile::open_regular(archive, ErrorKind::data)), size_(file_.size_bytes()) {}

  std::vector<TarEntry> list() {
    std::vector<TarEntry> entries;
    for (Block block = {}; read_header(block);) {
      const char kind = block[kKind];
      const bool is_file = kind == '0' || kind == '\0' || kind == '7';
      const std::int64_t bytes = is_file ? announced_.bytes.value_or(content_bytes_) : content_bytes_;
      check_content(bytes);
      if (kind == 'L') {
        announced_.name = std::string(text_of(bytes).c_str());  // ends with a zero
      } else if (kind == 'x') {
        read_pax(text_of(bytes));
      } else if (kind == 'S') {
        refuse("a file with holes, which cannot be read in parts; make the archive without --sparse");
      } else if (kind != 'g' && kind != 'K') {
        if (is_file) entries.push_back({name_of(block), place_, bytes});
        announced_ = {};
      }
      place_ += (bytes + kTarBlock - 1) / kTarBlock * kTarBlock;
    }
    return entries;
  }

 private:
  static constexpr std::size_t kKind = 156;

  template <typename... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorKind::data, "{}: at byte {}: {}", path_.string(), place_,
         fmt::format(format, std::forward<Args>(args)...));
  }

  /// The next header, which place_ is behind then; false at the end.
  bool read_header(Block& block) {
    if (place_ + kTarBlock > size_) refuse("the archive ends without its mark of an end; it was cut short");
    file_.read_at(place_, std::as_writable_bytes(std::span(block)));
    if (std::ranges::all_of(block, [](char byte) { return byte == 0; })) return false;
    const std::optional<std::int64_t> sum = number_at(block, 148, 8), bytes = number_at(block, 124, 12);
    if (!sum || *sum != sum_of(block) || !bytes)
      refuse("{}", place_ == 0 ? "no tar archive (compressed ones cannot be read in parts)"
                               : "no header of a tar archive; it is damaged");
    place_ += kTarBlock;
    // Links have no content, whatever size they say.
    const char kind = block[kKind];
    content_bytes_ = kind >= '1' && kind <= '6' ? 0 : *bytes;
    return true;
  }

  void check_content(std::int64_t bytes) const {
    if (bytes > size_ - place_)
      refuse("a file of {} bytes begins, {} are there; it was cut short", bytes, size_ - place_);
  }

  std::string text_of(std::int64_t bytes) const {
    if (bytes > kLongestName) refuse("a name of {} bytes", bytes);
    std::string text(static_cast<std::size_t>(bytes), '\0');
    file_.read_at(place_, std::as_writable_bytes(std::span(text)));
    return text;
  }

  /// Lines `<length> <key>=<value>\n`.
  void read_pax(std::string_view text) {
    while (!text.empty()) {
      std::size_t length = 0;
      const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), length);
      const auto digits = static_cast<std::size_t>(end - text.data());
      if (code != std::errc() || length > text.size() || length < digits + 2) refuse("a record that is none");
      const std::string_view line = text.substr(digits + 1, length - digits - 2);
      text.remove_prefix(length);
      const std::size_t equals = line.find('=');
      if (equals == std::string_view::npos) refuse("a record that is none");
      const std::string_view key = line.substr(0, equals), value = line.substr(equals + 1);
      if (key == "path") {
        if (value.find('\0') != std::string_view::npos) refuse("a name with a zero in it");
        announced_.name = value;
      }
      if (key == "size") {
        std::int64_t bytes = -1;
        std::from_chars(value.data(), value.data() + value.size(), bytes);
        if (bytes < 0) refuse("a size that is none");
        announced_.bytes = bytes;
      }
    }
  }

  std::string name_of(const Block& block) const {
    if (!announced_.name.empty()) return announced_.name;
    const std::string_view name = text_at(block, 0, 100);
    const std::string_view prefix = text_at(block, 257, 5) == "ustar" ? text_at(block, 345, 155) : "";
    return prefix.empty() || block[262] == ' ' ? std::string(name) : fmt::format("{}/{}", prefix, name);
  }

  fs::path path_;
  PosixFile file_;
  std::int64_t size_;
  std::int64_t place_ = 0;
  std::int64_t content_bytes_ = 0;  // by the header
  Announced announced_;
};

}  // namespace

std::vector<TarEntry> list_tar(const fs::path& archive) {
  return TarReader(archive).list();
}

}  // namespace bsq
