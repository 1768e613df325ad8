// SVG text (tools/report/charts/svg.h).
#include "tools/report/charts/svg.h"

#include "tools/report/charts/xml_text.h"

#include <fmt/format.h>

#include <cmath>

namespace bsq::charts {
namespace {

constexpr const char* kFont =
    "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'Liberation Sans',sans-serif";

/// A number with at most two digits after the point: hundredths of a pixel.
std::string number(double value) {
  std::string text = fmt::format("{:.2f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text == "-0" ? "0" : text;
}

bool is_finite(Place place) {
  return std::isfinite(place.x) && std::isfinite(place.y);
}

std::string fill_of(const Color& color) {
  return fmt::format("class=\"f-{}\" fill=\"{}\"", color.name, color.light);
}

std::string stroke_of(const Stroke& stroke) {
  std::string text = fmt::format("class=\"l-{}\" stroke=\"{}\" stroke-width=\"{}\"", stroke.color.name,
                                 stroke.color.light, number(stroke.width));
  if (!stroke.dashes.empty()) text += fmt::format(" stroke-dasharray=\"{}\"", stroke.dashes);
  return text;
}

std::string box_text(const Box& box) {
  return fmt::format("x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"", number(box.left), number(box.top),
                     number(box.width), number(box.height));
}

std::string path_of(const std::vector<Place>& places) {
  std::string path;
  for (const Place& place : places)
    path += fmt::format("{}{} {}", path.empty() ? 'M' : 'L', number(place.x), number(place.y));
  return path;
}

std::vector<Place> outline(Place center, double r, MarkerShape shape) {
  const auto at = [&](double x, double y) { return Place{center.x + x * r, center.y + y * r}; };
  switch (shape) {
    case MarkerShape::square: return {at(-0.88, -0.88), at(0.88, -0.88), at(0.88, 0.88), at(-0.88, 0.88)};
    case MarkerShape::diamond: return {at(0, -1.25), at(1.25, 0), at(0, 1.25), at(-1.25, 0)};
    case MarkerShape::triangle: return {at(0, -1.15), at(1.1, 0.85), at(-1.1, 0.85)};
    case MarkerShape::down_triangle: return {at(0, 1.15), at(1.1, -0.85), at(-1.1, -0.85)};
    case MarkerShape::circle: break;
  }
  return {};
}

}  // namespace

MarkerShape shape(std::size_t series) {
  return static_cast<MarkerShape>(series % kNumShapes);
}

Svg::Svg(double width, double height, std::string id, std::string title, std::string description)
    : width_(width),
      height_(height),
      id_(std::move(id)),
      title_(std::move(title)),
      description_(std::move(description)) {}

void Svg::add(std::string_view shape, std::string_view name, std::string_view tooltip) {
  if (tooltip.empty())
    body_ += fmt::format("<{}/>\n", shape);
  else
    body_ += fmt::format("<{}><title>{}</title></{}>\n", shape, xml_text(tooltip), name);
}

void Svg::rect(const Box& box, const Color& fill, std::string_view tooltip) {
  if (!is_finite({box.left, box.top}) || !(box.width > 0) || !(box.height > 0)) return;
  add(fmt::format("rect {} {}", box_text(box), fill_of(fill)), "rect", tooltip);
}

void Svg::image(const Box& box, std::string_view address, std::string_view tooltip) {
  if (!is_finite({box.left, box.top}) || !(box.width > 0) || !(box.height > 0)) return;
  add(fmt::format("image {} href=\"{}\" preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\"",
                  box_text(box), xml_text(address)),
      "image", tooltip);
}

void Svg::tooltip_area(const Box& box, std::string_view tooltip) {
  if (!is_finite({box.left, box.top}) || !(box.width > 0) || !(box.height > 0)) return;
  add(fmt::format("rect {} fill=\"none\" pointer-events=\"all\"", box_text(box)), "rect", tooltip);
}

void Svg::line(Place from, Place to, const Stroke& stroke) {
  if (!is_finite(from) || !is_finite(to)) return;
  add(fmt::format("line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" {}", number(from.x), number(from.y), number(to.x),
                  number(to.y), stroke_of(stroke)),
      "line", "");
}

void Svg::polyline(const std::vector<Place>& places, const Stroke& stroke) {
  std::vector<Place> part;
  const auto draw = [&] {
    if (part.size() == 1) marker(part[0], stroke.width * 1.5, MarkerShape::circle, stroke.color);
    if (part.size() > 1)
      add(fmt::format("path d=\"{}\" fill=\"none\" stroke-linejoin=\"round\" {}", path_of(part), stroke_of(stroke)),
          "path", "");
    part.clear();
  };
  for (const Place& place : places) {
    if (is_finite(place))
      part.push_back(place);
    else
      draw();
  }
  draw();
}

void Svg::polygon(const std::vector<Place>& places, const Color& fill) {
  for (const Place& place : places)
    if (!is_finite(place)) return;
  if (places.size() > 2) add(fmt::format("path d=\"{}Z\" {}", path_of(places), fill_of(fill)), "path", "");
}

void Svg::marker(Place center, double radius, MarkerShape shape, const Color& fill, std::string_view tooltip) {
  if (!is_finite(center)) return;
  if (shape == MarkerShape::circle)
    add(fmt::format("circle cx=\"{}\" cy=\"{}\" r=\"{}\" {}", number(center.x), number(center.y), number(radius),
                    fill_of(fill)),
        "circle", tooltip);
  else
    add(fmt::format("path d=\"{}Z\" {}", path_of(outline(center, radius, shape)), fill_of(fill)), "path", tooltip);
}

void Svg::hollow_marker(Place center, double radius, MarkerShape shape, const Color& outline,
                        std::string_view tooltip) {
  constexpr double kLine = 1.8;
  marker(center, radius, shape, outline, tooltip);
  marker(center, radius - kLine, shape, surface(), tooltip);
}

void Svg::text(Place place, std::string_view text, const TextStyle& style) {
  if (!is_finite(place) || text.empty()) return;
  std::string attributes = fmt::format("x=\"{}\" y=\"{}\" font-size=\"{}\" {}", number(place.x), number(place.y),
                                       number(style.size), fill_of(style.color));
  if (style.anchor != Anchor::start)
    attributes += fmt::format(" text-anchor=\"{}\"", style.anchor == Anchor::middle ? "middle" : "end");
  if (style.bold) attributes += " font-weight=\"600\"";
  if (style.turned != 0)
    attributes +=
        fmt::format(" transform=\"rotate({} {} {})\"", number(style.turned), number(place.x), number(place.y));
  body_ += fmt::format("<text {}>{}</text>\n", attributes, xml_text(text));
}

std::string Svg::element(std::string_view attributes, std::string_view style) const {
  return fmt::format(
      "<svg {0} class=\"chart\" role=\"img\" aria-labelledby=\"{1}-title {1}-desc\" viewBox=\"0 0 {2} {3}\" "
      "width=\"{2}\" height=\"{3}\" font-family=\"{7}\">\n<title id=\"{1}-title\">{4}</title>\n"
      "<desc id=\"{1}-desc\">{5}</desc>\n{6}{8}</svg>\n",
      attributes, id_, number(width_), number(height_), xml_text(title_), xml_text(description_), style, kFont, body_);
}

std::string Svg::inlined() const {
  return element(fmt::format("id=\"{}\"", id_), "");
}

std::string Svg::file() const {
  const std::string background = fmt::format("<rect width=\"100%\" height=\"100%\" {}/>\n", fill_of(surface()));
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" +
         element("xmlns=\"http://www.w3.org/2000/svg\"",
                 fmt::format("<style>{}</style>\n{}", style_sheet("svg"), background));
}

}  // namespace bsq::charts
