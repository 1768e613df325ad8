// Tar archives as tests write them: by hand, so that damage can be put where it is wanted.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace bsq::test {

class TarArchive {
 public:
  /// `kind`: the type flag of the header.
  void add(const std::string& name, const std::string& content, char kind = '0') {
    std::string header(512, '\0');
    const auto put = [&](std::size_t at, const std::string& text) {
      std::memcpy(&header[at], text.data(), text.size());
    };
    put(0, name.substr(0, 99));
    put(100, "0000644");
    put(124, octal(content.size()));
    put(136, "00000000000");
    header[156] = kind;
    put(257, std::string("ustar\0"
                         "00",
                         8));
    put(148, "        ");
    unsigned sum = 0;
    for (const char byte : header) sum += static_cast<unsigned char>(byte);
    put(148, octal(sum).substr(5) + std::string("\0 ", 2));
    bytes += header + content + std::string((512 - content.size() % 512) % 512, '\0');
  }
  /// A record before the next file: `path`, `size`.
  void add_pax(const std::string& key, const std::string& value) {
    const std::string rest = " " + key + "=" + value + "\n";
    std::size_t length = rest.size() + 1;
    while (std::to_string(length).size() + rest.size() != length) ++length;
    add("record", std::to_string(length) + rest, 'x');
  }
  void write(const std::filesystem::path& path, bool with_end = true) const {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes << std::string(with_end ? 1024 : 0, '\0');
  }

  std::string bytes;

 private:
  static std::string octal(std::size_t number) {
    std::string digits;
    for (int i = 0; i < 11; ++i, number /= 8) digits.insert(digits.begin(), static_cast<char>('0' + number % 8));
    return digits;
  }
};

}  // namespace bsq::test
