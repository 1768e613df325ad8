// Changed inputs by number: the same corpus and number give the same input on every machine.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace bsq::fuzz {

/// Takes one of the seeds and changes it in one to four places: flips bits, sets bytes, cuts, repeats, inserts numbers
/// at the edges of their types and signs that formats are made of, or splices in a part of another seed.
std::string mutated(std::span<const std::string> seeds, std::uint64_t number);

}  // namespace bsq::fuzz
