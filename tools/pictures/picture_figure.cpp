#include "tools/pictures/picture_figure.h"

#include "data/image_formats/png_writer.h"
#include "engine/base/base64.h"
#include "engine/base/text.h"
#include "tools/report/charts/frame.h"

#include <fmt/format.h>

#include <algorithm>

namespace bsq {
namespace {

constexpr double kSide = 96;  // the longer side of a picture, pixels
constexpr double kGap = 6;
constexpr double kNameWidth = 130;
constexpr double kMargin = 14;
constexpr int kMostPixels = 160;  // of the longer side, up to twice
constexpr std::size_t kNameBytes = 22;

/// The means of squares of `side` pixels; what is left over at the right and below is cut off.
Picture reduced(const Picture& picture, const SeenPictures& all, int side) {
  const int height = all.height / side, width = all.width / side;
  Picture result;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c) {
        int sum = 0;
        for (int i = 0; i < side * side; ++i)
          sum += picture[static_cast<std::size_t>(((y * side + i / side) * all.width + x * side + i % side) * 3 + c)];
        result.push_back(static_cast<std::uint8_t>((sum + side * side / 2) / (side * side)));
      }
  return result;
}

/// In no more pixels than a sharp screen can show.
std::string data_uri(const Picture& picture, const SeenPictures& all) {
  const int side = std::max(1, std::min({std::max(all.height, all.width) / kMostPixels, all.height, all.width}));
  return "data:image/png;base64," + to_base64(png_of(reduced(picture, all, side), all.height / side, all.width / side));
}

}  // namespace

charts::Svg picture_figure(const SeenPictures& pictures) {
  const double longer = std::max(pictures.height, pictures.width);
  const double width = kSide * pictures.width / longer, height = kSide * pictures.height / longer;
  const std::size_t epochs = pictures.images.empty() ? 0 : pictures.images.front().trained.size();
  const double left = kMargin + kNameWidth, top = charts::heading_height(charts::kChartWidth, {}) + 24;
  const auto place_of = [&](std::size_t column) { return left + static_cast<double>(column) * (width + kGap); };
  const auto row_of = [&](std::size_t row) { return top + static_cast<double>(row) * (height + kGap); };
  charts::Svg svg(
      std::max(place_of(epochs + 1) + kMargin, charts::kChartWidth), row_of(pictures.images.size()) + kMargin,
      "pictures", "Images as the network sees them",
      fmt::format("Images of each class that come first in the training of the stage {}: as evaluation sees "
                  "them, and as its first {} epochs do.",
                  pictures.stage, epochs));
  charts::draw_heading(svg, {});
  const charts::TextStyle small{.size = charts::kSmallSize};
  for (std::size_t column = 0; column <= epochs; ++column)
    svg.text({place_of(column), top - 6}, column == 0 ? std::string("evaluation") : fmt::format("epoch {}", column),
             small);
  for (std::size_t row = 0; row < pictures.images.size(); ++row) {
    const SeenImage& image = pictures.images[row];
    svg.text({kMargin, row_of(row) + height / 2}, excerpt(image.class_name, kNameBytes), small);
    for (std::size_t column = 0; column <= epochs; ++column)
      svg.image({place_of(column), row_of(row), width, height},
                data_uri(column == 0 ? image.evaluated : image.trained[column - 1], pictures),
                fmt::format("{}, {}", image.class_name, image.name));
  }
  return svg;
}

}  // namespace bsq
