// Text from anywhere made fit for XML and HTML.
#pragma once

#include <string>
#include <string_view>

namespace bsq::charts {

/// Valid UTF-8 without control characters: what is neither becomes U+FFFD. XML cannot hold them, however escaped.
std::string clean_text(std::string_view text);

/// clean_text with & < > " ' escaped, for element content and attribute values.
std::string xml_text(std::string_view text);

/// How many letters a text in valid UTF-8 has.
std::size_t count_letters(std::string_view text);

/// About how wide a text is in a sans-serif font, rather too wide than too narrow.
double text_width(std::string_view text, double font_size);

}  // namespace bsq::charts
