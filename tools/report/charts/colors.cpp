// The palette and its style sheet (tools/report/charts/colors.h).
#include "tools/report/charts/colors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace bsq::charts {
namespace {

using Rgb = std::array<double, 3>;

constexpr std::array<Rgb, 3> kLightScale = {{{238, 244, 250}, {107, 174, 214}, {8, 48, 107}}};
constexpr std::array<Rgb, 3> kDarkScale = {{{30, 42, 56}, {36, 90, 138}, {207, 230, 251}}};
constexpr double kStrongFrom = 0.65;  // from this share of the scale on, text on it has the other colour

std::string hex_between(const std::array<Rgb, 3>& scale, double share) {
  const std::size_t part = share < 0.5 ? 0 : 1;
  const double within = share * 2 - static_cast<double>(part);
  std::string text = "#";
  for (std::size_t i = 0; i < 3; ++i)
    text += fmt::format("{:02x}", std::lround(scale[part][i] + within * (scale[part + 1][i] - scale[part][i])));
  return text;
}

int step_number(double share) {
  return std::isnan(share) ? 0 : static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * (kNumSteps - 1)));
}

Color numbered_step(int number) {
  const double share = static_cast<double>(number) / (kNumSteps - 1);
  return {fmt::format("q{}", number), hex_between(kLightScale, share), hex_between(kDarkScale, share)};
}

std::vector<Color> all_colors() {
  std::vector<Color> all = {ink(), muted(), grid(), surface(), band(), on_step(0), on_step(1)};
  for (std::size_t i = 0; i < kNumSeries; ++i) all.push_back(series(i));
  for (int i = 0; i < kNumSteps; ++i) all.push_back(numbered_step(i));
  return all;
}

}  // namespace

Color ink() {
  return {"ink", "#1b1f24", "#e8ecf1"};
}

Color muted() {
  return {"muted", "#57606a", "#a3adb8"};
}

Color grid() {
  return {"grid", "#dfe3e8", "#333c47"};
}

Color surface() {
  return {"surface", "#ffffff", "#14191f"};
}

Color band() {
  return {"band", "#f4f6f8", "#1b222a"};
}

Color series(std::size_t number) {
  static const std::array<Color, kNumSeries> colors = {{{"s0", "#0072b2", "#56b4e9"},
                                                        {"s1", "#d55e00", "#f0883e"},
                                                        {"s2", "#009e73", "#3ddcab"},
                                                        {"s3", "#cc79a7", "#e39cc4"},
                                                        {"s4", "#e69f00", "#ffcf5c"},
                                                        {"s5", "#56b4e9", "#2f81c4"},
                                                        {"s6", "#6b7280", "#c3cad3"}}};
  return colors[number % kNumSeries];
}

Color step(double share) {
  return numbered_step(step_number(share));
}

Color on_step(double share) {
  if (static_cast<double>(step_number(share)) / (kNumSteps - 1) < kStrongFrom) return {"faint", "#10202f", "#eef3f8"};
  return {"strong", "#ffffff", "#0b1520"};
}

std::string style_sheet(std::string_view selector) {
  std::string light, dark, classes;
  for (const Color& color : all_colors()) {
    light += fmt::format("--{}:{};", color.name, color.light);
    dark += fmt::format("--{}:{};", color.name, color.dark);
    classes += fmt::format(".f-{0}{{fill:var(--{0})}}.l-{0}{{stroke:var(--{0})}}", color.name);
  }
  return fmt::format("{0}{{{1}}}@media screen and (prefers-color-scheme:dark){{{0}{{{2}}}}}{3}", selector, light, dark,
                     classes);
}

}  // namespace bsq::charts
