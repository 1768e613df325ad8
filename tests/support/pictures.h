// Image folders for tests that start the program.
#pragma once

#include <filesystem>

namespace bsq::test {

/// Noise, a square if no height is given, the same for the same seed; makes the folders above it.
void put_png(const std::filesystem::path& file, unsigned seed = 0, int width = 8, int height = 0);
/// The gray of that noise, as PIL's convert("L") has it, in a file of one channel.
void put_gray_png(const std::filesystem::path& file, unsigned seed = 0, int width = 8, int height = 0);

/// root/{train,test}/{cat,dog}/N.png, so many of each class, each another noise.
void put_pictures(const std::filesystem::path& root, int train_per_class = 4, int test_per_class = 2);

}  // namespace bsq::test
