#include "tests/support/photographs.h"

#include "tests/support/jpeg_writer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <random>
#include <string>

namespace bsq::test {
namespace {

using Random = std::minstd_rand;

double between(Random& random, double first, double last) {
  return first + (last - first) * static_cast<double>(random()) / static_cast<double>(Random::max());
}

/// `stripes`: of the whole picture.
Picture photograph(Random& random, double stripes, bool stand, int channels) {
  Picture picture{static_cast<int>(between(random, 60, 160)), static_cast<int>(between(random, 60, 160)), channels, {}};
  const double phase = between(random, 0, 1), side = stand ? picture.width : picture.height;
  std::array<double, 4> middle{}, height{};
  for (int c = 0; c < channels; ++c) {
    middle[static_cast<std::size_t>(c)] = between(random, 100, 150);
    height[static_cast<std::size_t>(c)] = between(random, 40, 80);
  }
  for (int y = 0; y < picture.height; ++y)
    for (int x = 0; x < picture.width; ++x) {
      const double wave = std::sin(2 * std::numbers::pi * (stripes * (stand ? x : y) / side + phase));
      for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c)
        picture.pixels.push_back(
            static_cast<std::uint8_t>(std::clamp(middle[c] + height[c] * wave + between(random, -20, 20), 0.0, 255.0)));
    }
  return picture;
}

/// One in ten is gray, one in ten has inks; half are progressive.
void put_photograph(const std::filesystem::path& file, Random& random, double stripes, bool stand) {
  const double draw = between(random, 0, 1);
  const int channels = draw < 0.1 ? 1 : draw < 0.2 ? 4 : 3;
  constexpr std::array<std::pair<int, int>, 4> kSharing = {{{1, 1}, {2, 1}, {2, 2}, {1, 2}}};
  const auto [columns, rows] = channels == 3 ? kSharing.at(random() % kSharing.size()) : std::pair{1, 1};
  const JpegKind kind{.columns_per_color = columns,
                      .rows_per_color = rows,
                      .is_progressive = random() % 2 == 0,
                      .quality = static_cast<int>(between(random, 40, 98))};
  write_jpeg(file, photograph(random, stripes, stand, channels), kind);
}

}  // namespace

void put_photographs(const std::filesystem::path& root, int train_per_class, int val_per_class) {
  Random random(7);
  for (const auto& [part, count] : {std::pair{"train", train_per_class}, std::pair{"val", val_per_class}})
    for (const double stripes : {3.0, 9.0})
      for (const bool stand : {false, true}) {
        const std::string name = std::string(stripes > 5 ? "narrow" : "wide") + (stand ? "-standing" : "-lying");
        for (int i = 0; i < count; ++i)
          put_photograph(root / part / name / (std::to_string(i) + ".jpg"), random, stripes, stand);
      }
}

}  // namespace bsq::test
