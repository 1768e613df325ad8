// "Did you mean ...?": the known word nearest to a mistyped one.
//
// Distance: optimal string alignment (insert, delete, replace, swap of neighbours, each 1), letter case ignored.
// A word is suggested only if at most a third of the typed letters are wrong, so that no far-fetched guess is printed.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace bsq {

/// Number of single-letter edits and neighbour swaps that turn `a` into `b`, letter case ignored.
int edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word`, the first of several equally near ones; empty if none is near enough.
std::string nearest_word(std::string_view word, std::span<const std::string> candidates);

/// `; did you mean 'train'?`, or nothing if no candidate is near enough. To be appended to an error message.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace bsq
