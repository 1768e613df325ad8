// What the targets share: files made of fuzzed bytes, and what counts as a good end of reading them.
//
// A good end is a result, or an Error of the kind that the reader documents, whose message a terminal can show.
// Everything else ends the process: another exception, an Error of another kind, a promise that does not hold.
#pragma once

#include "kernels/base/error.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace bsq::fuzz {

/// A folder of this process, in memory where the system has such a place. It is removed when the process ends, and
/// whoever started a process that crashed can remove it by the number of that process.
std::filesystem::path scratch_of(long process);
const std::filesystem::path& scratch();

/// Writes a file of the scratch folder anew.
std::filesystem::path put(const std::string& name, std::string_view bytes);

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// The files that one input stands for: `count` pieces, parted by lines `=====`. Those that are not there are empty,
/// and the last one has all the rest.
std::vector<std::string_view> pieces(std::string_view input, std::size_t count);

/// Calls `read` and ends the process unless that is a good end. Returns whether there was no Error.
bool ends_well(std::initializer_list<ErrorKind> kinds, const std::function<void()>& read);

/// Ends the process unless `holds`, a promise that is made of what was read.
void must_hold(bool holds, const char* promise);

}  // namespace bsq::fuzz
