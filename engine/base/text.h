// Numbers and names as people read them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace bsq {

/// 1104220 -> "1,104,220"; from 10^15 on "9.1e18", which nobody has to count.
std::string with_thousands(std::uint64_t value);

/// 65 -> "1:05", 3725 -> "1:02:05".
std::string clock_text(double seconds);

/// A name of a file system, whose bytes may be anything, as UTF-8: bytes that are none become `\\xE9`.
std::string shown_name(const std::string& bytes);

/// What a file says, for a message: of a text that is longer than a person reads, its beginning and its end.
std::string excerpt(std::string text, std::size_t most_bytes = 400);

/// The message of an error that has a line per problem, the first 100 of them, and says in its last line how many there
/// are: `2 errors; nothing was written`.
std::string problems_message(std::span<const std::string> problems);

/// `layer1.0.conv1` of `layer1.0.conv1.weight`; a bias keeps its full name.
std::string layer_name(const std::string& parameter);

}  // namespace bsq
