// The colours of figures and pages, each by what it is for, for light and for dark.
//
// A figure names a colour twice: as a class, which the style sheet colours by a CSS variable, and as its light value in
// an attribute, for programs that show SVG and know no CSS variables. Series follow Okabe and Ito, who chose colours
// that every kind of colour vision tells apart; the scale is one hue from faint to strong.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bsq::charts {

struct Color {
  std::string name;
  std::string light;
  std::string dark;
};

Color ink();      // text, axes
Color muted();    // secondary text, marks
Color grid();     // grid lines
Color surface();  // behind everything
Color band();     // every other stage

inline constexpr std::size_t kNumSeries = 7;
/// The colour of series `number`; after kNumSeries the colours begin again.
Color series(std::size_t number);

/// The colour for a share from faint (0) to strong (1), in kNumSteps steps; a share outside counts as the nearer end.
inline constexpr int kNumSteps = 11;
Color step(double share);
/// The colour of text on step(share).
Color on_step(double share);

/// Sets the variables on elements that `selector` matches, and colours the classes `f-NAME` (fill) and `l-NAME`
/// (stroke). Paper is always light.
std::string style_sheet(std::string_view selector);

}  // namespace bsq::charts
