// A picture in SVG, drawn in pixels from the top left corner. Text is escaped here; numbers that are not finite draw
// nothing. Every picture has a name for those who do not see it (<title>, <desc>, role, aria-labelledby); a shape may
// have a tooltip.
#pragma once

#include "tools/report/charts/colors.h"

#include <string>
#include <string_view>
#include <vector>

namespace bsq::charts {

struct Place {
  double x = 0;
  double y = 0;
};

struct Box {
  double left = 0;
  double top = 0;
  double width = 0;
  double height = 0;

  double right() const { return left + width; }
  double bottom() const { return top + height; }
};

struct Stroke {
  Color color = ink();
  double width = 1;
  std::string dashes = "";  // as in stroke-dasharray
};

enum class Anchor { start, middle, end };

struct TextStyle {
  double size = 12;
  Anchor anchor = Anchor::start;
  Color color = ink();
  bool bold = false;
  double turned = 0;  // degrees clockwise about its place
};

/// How a series marks its points, so that they are told apart without colours.
enum class MarkerShape { circle, square, diamond, triangle, down_triangle };
inline constexpr std::size_t kNumShapes = 4;
MarkerShape shape(std::size_t series);

class Svg {
 public:
  /// `id`: letters, digits, '-' and '_', unique on a page.
  Svg(double width, double height, std::string id, std::string title, std::string description);

  double width() const { return width_; }
  double height() const { return height_; }
  const std::string& id() const { return id_; }
  const std::string& title() const { return title_; }
  const std::string& description() const { return description_; }

  void rect(const Box& box, const Color& fill, std::string_view tooltip = "");
  /// A picture of dots, from a `data:` address, whose pixels stay squares.
  void image(const Box& box, std::string_view address, std::string_view tooltip = "");
  /// An invisible area with a tooltip.
  void tooltip_area(const Box& box, std::string_view tooltip);
  void line(Place from, Place to, const Stroke& stroke);
  /// One line, interrupted at places that are not finite; a place alone between two interruptions becomes a dot.
  void polyline(const std::vector<Place>& places, const Stroke& stroke);
  void polygon(const std::vector<Place>& places, const Color& fill);
  void marker(Place center, double radius, MarkerShape shape, const Color& fill, std::string_view tooltip = "");
  /// An outline, through which nothing behind it shows.
  void hollow_marker(Place center, double radius, MarkerShape shape, const Color& outline,
                     std::string_view tooltip = "");
  /// `place`: of the baseline.
  void text(Place place, std::string_view text, const TextStyle& style = {});

  /// The picture as a part of a page that has style_sheet(":root").
  std::string inlined() const;
  /// The picture as a file of its own.
  std::string file() const;

 private:
  std::string element(std::string_view attributes, std::string_view style) const;
  void add(std::string_view shape, std::string_view name, std::string_view tooltip);

  double width_;
  double height_;
  std::string id_;
  std::string title_;
  std::string description_;
  std::string body_;
};

}  // namespace bsq::charts
