// Plain system calls: a target writes its file some thousand times a second.
#include "tests/fuzz/foreign_bytes.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace bsq::fuzz {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void found(const std::string& what) {
  std::fputs(("\nFOUND: " + what + "\n").c_str(), stderr);
  std::abort();
}

struct Scratch {
  Scratch() : path(scratch_of(::getpid())) {
    fs::remove_all(path);  // of a process of the same number, which crashed
    fs::create_directory(path);
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  fs::path path;
};

std::string name_of(ErrorKind kind) {
  return std::to_string(static_cast<int>(kind));
}

/// A message is lines of text: what a file says must not move the cursor of a terminal or fill its screen.
void check_message(const std::string& message) {
  constexpr std::size_t kMostBytes = 1 << 16;
  if (message.empty()) found("an Error without a message");
  if (message.size() > kMostBytes) found("an Error with a message of " + std::to_string(message.size()) + " bytes");
  const auto bad = std::find_if(message.begin(), message.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < ' ' && c != '\n') || byte == 0x7f;
  });
  if (bad != message.end()) found("an Error with a control character in its message: " + message);
}

}  // namespace

fs::path scratch_of(long process) {
  std::error_code ignored;
  const fs::path memory = "/dev/shm";
  const fs::path parent = fs::is_directory(memory, ignored) ? memory : fs::temp_directory_path();
  return parent / ("bsq-fuzz-" + std::to_string(process));
}

const fs::path& scratch() {
  static const Scratch folder;
  return folder.path;
}

fs::path put(const std::string& name, std::string_view bytes) {
  const fs::path path = scratch() / name;
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool written = file >= 0 && ::write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  if (!written) found("no place for the file " + path.string());
  ::close(file);
  return path;
}

std::vector<std::string_view> pieces(std::string_view input, std::size_t count) {
  constexpr std::string_view kBetween = "\n=====\n";
  std::vector<std::string_view> parts;
  while (parts.size() + 1 < count) {
    const std::size_t end = input.find(kBetween);
    parts.push_back(input.substr(0, end == std::string_view::npos ? end : end + 1));
    input = end == std::string_view::npos ? std::string_view() : input.substr(end + kBetween.size());
  }
  parts.push_back(input);
  return parts;
}

bool ends_well(std::initializer_list<ErrorKind> kinds, const std::function<void()>& read) {
  try {
    read();
    return true;
  } catch (const Error& error) {
    if (std::find(kinds.begin(), kinds.end(), error.kind()) == kinds.end())
      found("an Error of kind " + name_of(error.kind()) + ", which the reader does not document: " + error.what());
    check_message(error.what());
  } catch (const std::exception& error) {
    found(std::string("another exception than Error: ") + error.what());
  }
  return false;
}

void must_hold(bool holds, const char* promise) {
  if (!holds) found(std::string("it does not hold that ") + promise);
}

}  // namespace bsq::fuzz
