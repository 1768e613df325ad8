// A folder like those that users have: JPEGs of all sizes, qualities and colour spaces, of classes that can be learned.
#pragma once

#include <filesystem>

namespace bsq::test {

/// root/{train,val}/<class>/N.jpg, so many of each of four classes: wide or narrow stripes, that stand or lie, in
/// colours that say nothing, under noise. The same ones every time.
void put_photographs(const std::filesystem::path& root, int train_per_class, int val_per_class);

}  // namespace bsq::test
