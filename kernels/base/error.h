// The one error policy: code throws bsq::Error, tools/main.cpp catches it and exits with its code.
//
// A message reads `<where>: <what>; <how to fix>` and names the file, the key, the value seen and the range allowed.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace bsq {

/// What went wrong, by the exit code a user sees.
enum class ErrorKind : int {
  internal = 1,      // a bug in bsq
  usage = 2,         // command line or configuration
  data = 3,          // data set missing, corrupt or of the wrong size
  checkpoint = 4,    // checkpoint missing, corrupt or made for something else
  device = 5,        // device, driver or communication
  diverged = 6,      // training diverged (NaN, infinity) or collapsed (everything pruned)
  verification = 7,  // a result failed its check
};

/// A message goes to a terminal, and may quote a file: control characters, which could clear it or write over what it
/// shows, become `?`. Ends of lines stay, since a message may have several.
inline std::string without_control_characters(std::string message) {
  for (char& c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < ' ' && c != '\n') || byte == 0x7f) c = '?';
  }
  return message;
}

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message)
      : std::runtime_error(without_control_characters(message)), kind_(kind) {}

  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

/// Throws an Error with a formatted message.
template <typename... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

/// Throws an internal error unless `condition` holds. For mistakes of the caller's code, never for a user's input.
template <typename... Args>
void require(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) fail(ErrorKind::internal, format, std::forward<Args>(args)...);
}

}  // namespace bsq
