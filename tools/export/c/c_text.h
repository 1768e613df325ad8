// Pieces of C99: names, comments, strings, arrays of numbers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bsq {

/// `resnet20` of "ResNet-20": what names of a file begin with; `model` if nothing is left of the text.
std::string c_identifier(std::string_view text);
std::string upper_case(std::string_view text);
/// Without what would end a comment, or be more than a letter in it.
std::string c_comment(std::string_view text);
/// With its quotes.
std::string c_string(std::string_view text);
/// That float32 and no other.
std::string c_float(float number);

/// `static const TYPE NAME[N] = {...};` in lines of up to 120 characters.
std::string c_array(std::string_view name, std::span<const std::int16_t> numbers);
std::string c_array(std::string_view name, std::span<const std::int32_t> numbers);
std::string c_array(std::string_view name, std::span<const std::uint8_t> numbers);
std::string c_array(std::string_view name, std::span<const std::uint32_t> words);
std::string c_array(std::string_view name, std::span<const float> numbers);

}  // namespace bsq
