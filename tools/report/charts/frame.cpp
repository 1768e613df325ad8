// Headings, axes and grids (tools/report/charts/frame.h).
#include "tools/report/charts/frame.h"

#include "tools/report/charts/xml_text.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace bsq::charts {
namespace {

constexpr double kTop = 26;         // baseline of the title
constexpr double kLegendTop = 48;   // baseline of the first line of the legend
constexpr double kLegendLine = 19;  // from one line to the next
constexpr double kSwatch = 20;      // width of a legend's sample
constexpr double kMargin = 14;
constexpr double kTickGap = 7;
constexpr double kMostTicksAcross = 10;
constexpr double kSteep = -90, kSlanted = -45;

struct LegendPlace {
  const LegendEntry* entry;
  Place place;
};

std::vector<LegendPlace> place_legend(double width, const std::vector<LegendEntry>& legend) {
  std::vector<LegendPlace> places;
  Place next{kMargin, kLegendTop};
  for (const LegendEntry& entry : legend) {
    const double needed = kSwatch + 6 + text_width(entry.name, kTextSize) + 18;
    if (next.x > kMargin && next.x + needed > width) next = {kMargin, next.y + kLegendLine};
    places.push_back({&entry, next});
    next.x += needed;
  }
  return places;
}

void draw_sample(Svg& svg, const LegendEntry& entry, Place place) {
  const double middle = place.y - 4;
  switch (entry.kind) {
    case LegendEntry::Kind::box: svg.rect({place.x + 4, middle - 6, 12, 12}, entry.color); break;
    case LegendEntry::Kind::marker:
      if (entry.hollow)
        svg.hollow_marker({place.x + 10, middle}, 5, entry.shape, entry.color);
      else
        svg.marker({place.x + 10, middle}, 5, entry.shape, entry.color);
      break;
    case LegendEntry::Kind::line:
      svg.line({place.x, middle}, {place.x + kSwatch, middle}, {entry.color, 2.5, entry.dashes});
      break;
  }
}

double widest(const std::vector<std::string>& texts, double size) {
  double width = 0;
  for (const std::string& text : texts) width = std::max(width, text_width(text, size));
  return width;
}

std::vector<std::string> texts_of(const Ticks& ticks) {
  std::vector<std::string> texts;
  for (const double value : ticks.values) texts.push_back(ticks.text(value));
  return texts;
}

Range range_with(const Axis& axis, const Ticks& ticks) {
  if (!axis.categories.empty()) return {-0.5, static_cast<double>(axis.categories.size()) - 0.5, false};
  Range range = drawable(axis.range);
  if (axis.rule == TickRule::around && !ticks.values.empty()) {
    range.include(ticks.values.front());
    range.include(ticks.values.back());
  }
  return range;
}

}  // namespace

double heading_height(double width, const std::vector<LegendEntry>& legend) {
  const std::vector<LegendPlace> places = place_legend(width, legend);
  return places.empty() ? kTop + 14 : places.back().place.y + 16;
}

double draw_heading(Svg& svg, const std::vector<LegendEntry>& legend) {
  svg.text({kMargin, kTop}, svg.title(), {.size = kTitleSize, .bold = true});
  for (const LegendPlace& place : place_legend(svg.width(), legend)) {
    draw_sample(svg, *place.entry, place.place);
    svg.text({place.place.x + kSwatch + 6, place.place.y}, place.entry->name, {.size = kTextSize});
  }
  return heading_height(svg.width(), legend);
}

Frame::Frame(double width, double plot_height, const std::vector<LegendEntry>& legend, Axis x, Axis y)
    : width_(width), x_axis_(std::move(x)), y_axis_(std::move(y)) {
  y_ticks_ = find_ticks(y_axis_.range, std::max(2, static_cast<int>(plot_height / 45)), y_axis_.rule, y_axis_.whole);
  x_ticks_ = find_ticks(x_axis_.range, static_cast<int>(kMostTicksAcross), x_axis_.rule, x_axis_.whole);
  const double left = kMargin + kTextSize + 10 + widest(texts_of(y_ticks_), kTextSize) + kTickGap;
  plot_ = {left, heading_height(width, legend), width - left - kMargin - 8, plot_height};
  x_scale_ = Scale(range_with(x_axis_, x_ticks_), plot_.left, plot_.right());
  y_scale_ = Scale(range_with(y_axis_, y_ticks_), plot_.bottom(), plot_.top);
  double labels = kTextSize + kTickGap;
  if (!x_axis_.categories.empty() && category_turn() != 0) {
    const double angle = -category_turn() * std::numbers::pi / 180;
    labels = kTickGap + widest(x_axis_.categories, kSmallSize) * std::sin(angle) + kSmallSize;
  }
  height_ = plot_.bottom() + labels + (x_axis_.title.empty() ? 0 : kTextSize + 10) + kMargin;
}

void Frame::leave_room_above(double pixels) {
  plot_.top += pixels;
  height_ += pixels;
  y_scale_ = Scale(range_with(y_axis_, y_ticks_), plot_.bottom(), plot_.top);
}

double Frame::band() const {
  return std::abs(x_scale_(1) - x_scale_(0));
}

/// Upright if the names fit, else slanted, else steep.
double Frame::category_turn() const {
  if (widest(x_axis_.categories, kSmallSize) < band() - 4) return 0;
  return band() > kSmallSize * 1.7 ? kSlanted : kSteep;
}

void Frame::draw_categories(Svg& svg) const {
  const double turn = category_turn();
  for (std::size_t i = 0; i < x_axis_.categories.size(); ++i) {
    const double center = x(static_cast<double>(i));
    const Place place = turn == 0 ? Place{center, plot_.bottom() + kTextSize + kTickGap}
                                  : Place{center + kSmallSize * 0.35, plot_.bottom() + kTickGap + 4};
    svg.text(place, x_axis_.categories[i],
             {.size = kSmallSize, .anchor = turn == 0 ? Anchor::middle : Anchor::end, .turned = turn});
  }
}

void Frame::draw(Svg& svg) const {
  for (const double value : y_ticks_.values) {
    const double at = y(value);
    if (at < plot_.top - 0.5 || at > plot_.bottom() + 0.5) continue;
    svg.line({plot_.left, at}, {plot_.right(), at}, {grid()});
    svg.text({plot_.left - kTickGap, at + 4}, y_ticks_.text(value), {.anchor = Anchor::end, .color = muted()});
  }
  if (x_axis_.categories.empty()) {
    for (const double value : x_ticks_.values) {
      const double at = x(value);
      svg.line({at, plot_.bottom()}, {at, plot_.bottom() + 4}, {muted()});
      svg.text({at, plot_.bottom() + kTextSize + kTickGap}, x_ticks_.text(value),
               {.anchor = Anchor::middle, .color = muted()});
    }
  } else {
    draw_categories(svg);
  }
  svg.line({plot_.left, plot_.bottom()}, {plot_.right(), plot_.bottom()}, {muted()});
  svg.text({plot_.left + plot_.width / 2, height_ - kMargin}, x_axis_.title, {.anchor = Anchor::middle});
  const Place side{kMargin + kTextSize * 0.8, plot_.top + plot_.height / 2};
  svg.text(side, y_axis_.title, {.anchor = Anchor::middle, .turned = -90});
}

}  // namespace bsq::charts
