// A picture is painted back to front: background, clutter, the shape, a bar across it, noise.
// Shapes are signed distances (negative inside), turned into coverage over one pixel: smooth edges from one sample.
#include "data/synthetic.h"

#include "kernels/base/error.h"
#include "kernels/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace bsq {
namespace {

constexpr int kCanvasSide = 32;
constexpr int kCanvasPixels = kCanvasSide * kCanvasSide;
constexpr float kPi = std::numbers::pi_v<float>;

enum class Figure : int { disc, ring, square, triangle, cross, star, crescent, stripes, checkerboard, spiral };
constexpr std::array<const char*, 10> kClassNames = {"disc", "ring",     "square",  "triangle",     "cross",
                                                     "star", "crescent", "stripes", "checkerboard", "spiral"};
constexpr int kClasses = static_cast<int>(kClassNames.size());

// ---- random numbers ---------------------------------------------------------------------------------------------

/// The draws of one picture: a sequence for the scene, and one block per pixel for the noise.
class Draws {
 public:
  Draws(std::uint64_t seed, SyntheticSplit split, std::uint32_t index) : seed_(seed), split_(split), index_(index) {}

  /// Uniform in [low, high).
  float uniform(float low, float high) { return low + (high - low) * uniform_from_bits(next()); }
  bool chance(float probability) { return uniform(0, 1) < probability; }
  int below(int bound) { return static_cast<int>(bounded_from_bits(next(), static_cast<std::uint32_t>(bound))); }
  PhiloxCounter pixel_block(int pixel) const { return block(kFirstPixelBlock + static_cast<std::uint32_t>(pixel)); }

 private:
  static constexpr std::uint32_t kFirstPixelBlock = 1U << 16;  // far beyond what any scene draws

  PhiloxCounter block(std::uint32_t number) const {
    return philox4x32(
        {index_, static_cast<std::uint32_t>(split_), static_cast<std::uint32_t>(RandomStream::synthesize), number},
        seed_);
  }
  std::uint32_t next() {
    if (used_ % 4 == 0) words_ = block(used_ / 4);
    return words_[used_++ % 4];
  }

  std::uint64_t seed_;
  SyntheticSplit split_;
  std::uint32_t index_;
  std::uint32_t used_ = 0;
  PhiloxCounter words_{};
};

// ---- colours and the canvas ---------------------------------------------------------------------------------------

struct Color {  // 0 .. 1
  float red = 0;
  float green = 0;
  float blue = 0;
};
using Canvas = std::array<Color, kCanvasPixels>;

Color mix(const Color& from, const Color& to, float t) {
  return {from.red + t * (to.red - from.red), from.green + t * (to.green - from.green),
          from.blue + t * (to.blue - from.blue)};
}

Color random_color(Draws& draws, float low, float high) {
  const float red = draws.uniform(low, high);
  const float green = draws.uniform(low, high);
  return {red, green, draws.uniform(low, high)};
}

/// A colour that differs from `base` by up to `contrast` in every channel: lighter (or darker) if there is room.
Color contrasting_color(Draws& draws, const Color& base, float contrast, bool lighter) {
  const auto shift = [&](float value) {
    const float step = contrast * draws.uniform(0.4F, 1.0F);
    const bool up = lighter ? value + step <= 1 : value - step < 0;
    return std::clamp(up ? value + step : value - step, 0.0F, 1.0F);
  };
  const float red = shift(base.red);
  const float green = shift(base.green);
  return {red, green, shift(base.blue)};
}

struct Point {  // pixels, the centre of the picture is the origin
  float x = 0;
  float y = 0;
};
float length(Point p) {
  return std::sqrt(p.x * p.x + p.y * p.y);
}
float dot(Point a, Point b) {
  return a.x * b.x + a.y * b.y;
}
Point direction(float angle) {
  return {std::cos(angle), std::sin(angle)};
}
Point pixel_center(int pixel) {
  constexpr float half = kCanvasSide / 2 - 0.5F;
  return {static_cast<float>(pixel % kCanvasSide) - half, static_cast<float>(pixel / kCanvasSide) - half};
}

/// Paints `color` on the points whose distance(point), in pixels, is negative.
template <typename Distance>
void paint(Canvas& canvas, const Color& color, const Distance& distance) {
  for (int pixel = 0; pixel < kCanvasPixels; ++pixel) {
    const float coverage = std::clamp(0.5F - distance(pixel_center(pixel)), 0.0F, 1.0F);
    Color& under = canvas[static_cast<std::size_t>(pixel)];
    under = mix(under, color, coverage);
  }
}

/// A straight stroke with round ends.
void paint_stroke(Canvas& canvas, const Color& color, Point from, Point to, float half_width) {
  const Point along{to.x - from.x, to.y - from.y};
  const float inverse_square = 1 / std::max(dot(along, along), 1e-6F);
  paint(canvas, color, [=](Point p) {
    const Point offset{p.x - from.x, p.y - from.y};
    const float t = std::clamp(dot(offset, along) * inverse_square, 0.0F, 1.0F);
    return length({offset.x - t * along.x, offset.y - t * along.y}) - half_width;
  });
}

// ---- the figures, in units of their radius ------------------------------------------------------------------------

float box(Point p, float half_width, float half_height) {
  return std::max(std::abs(p.x) - half_width, std::abs(p.y) - half_height);
}

float triangle(Point p) {
  constexpr float half_root3 = 0.8660254F;
  return std::max(-p.y, std::max(p.y * 0.5F + p.x * half_root3, p.y * 0.5F - p.x * half_root3)) - 0.55F;
}

/// Five points: fold the plane onto one tenth of it, then one straight edge from tip to notch.
float star(Point p) {
  constexpr float tenth = kPi / 5;
  const float turn = std::atan2(p.y, p.x) / (2 * tenth);
  const float angle = std::abs(turn - std::round(turn)) * 2 * tenth;  // 0 at a tip, `tenth` at a notch
  const Point folded{length(p) * std::cos(angle), length(p) * std::sin(angle)};
  const Point notch{0.45F * std::cos(tenth), 0.45F * std::sin(tenth)};
  const Point edge{notch.x - 1.05F, notch.y};
  return (edge.y * (folded.x - 1.05F) - edge.x * folded.y) / length(edge);
}

/// A spiral with `pitch` from arm to arm; arms and gaps are equally wide.
float spiral(Point p, float pitch) {
  const float phase = length(p) / pitch - std::atan2(p.y, p.x) / (2 * kPi);
  const float arm = (std::abs(phase - std::floor(phase) - 0.5F) - 0.25F) * pitch;
  return std::max(arm, length(p) - 1);
}

/// A wave of the given period; near its edges its slope is that of a distance.
float wave(float x, float period) {
  return std::sin(x * (2 * kPi / period)) * (period / (2 * kPi));
}

/// What is drawn at random about the figure of one picture.
struct Pose {
  Point center;
  float radius = 0;  // pixels
  float angle = 0;
  float stretch = 1;   // width times, height divided by
  float detail = 0;    // thickness, pitch or period, drawn per figure, in units of the radius
  bool round = false;  // outline of a textured patch
  bool mirrored = false;
};

float figure_distance(Figure figure, const Pose& pose, Point p) {
  const auto patch = [&] { return pose.round ? length(p) - 0.95F : box(p, 0.82F, 0.82F); };
  switch (figure) {
    case Figure::disc: return length(p) - 0.85F;
    case Figure::ring: return std::abs(length(p) - 0.78F) - pose.detail;
    case Figure::square: return box(p, 0.75F, 0.75F);
    case Figure::triangle: return triangle(p);
    case Figure::cross: return std::min(box(p, 0.95F, pose.detail), box(p, pose.detail, 0.95F));
    case Figure::star: return star(p);
    case Figure::crescent: return std::max(length(p) - 0.9F, pose.detail - length({p.x - 0.5F, p.y}));
    case Figure::stripes: return std::max(patch(), wave(p.x, pose.detail));
    case Figure::checkerboard:
      return std::max(patch(), wave(p.x, pose.detail) * wave(p.y, pose.detail) * (2 * kPi / pose.detail));
    case Figure::spiral: return spiral(p, pose.detail);
  }
  return 1;
}

/// Thin parts stay above one pixel and a half, so that every figure can be made out.
float draw_detail(Draws& draws, Figure figure, float radius) {
  switch (figure) {
    case Figure::ring: return std::max(draws.uniform(0.12F, 0.24F), 0.8F / radius);
    case Figure::cross: return std::max(draws.uniform(0.2F, 0.36F), 0.9F / radius);
    case Figure::crescent: return draws.uniform(0.6F, 0.8F);
    case Figure::stripes: return draws.uniform(3.2F, 5.2F) / radius;
    case Figure::checkerboard: return draws.uniform(4.4F, 6.6F) / radius;
    case Figure::spiral: return draws.uniform(3.3F, 4.6F) / radius;
    default: return 0;
  }
}

// ---- the scene ----------------------------------------------------------------------------------------------------

void paint_background(Canvas& canvas, Draws& draws, const Color& color) {
  const Color other = mix(color, random_color(draws, 0.05F, 0.95F), draws.uniform(0, 0.45F));
  const Point slope = direction(draws.uniform(0, 2 * kPi));
  for (int pixel = 0; pixel < kCanvasPixels; ++pixel) {
    const float t = 0.5F + dot(pixel_center(pixel), slope) / kCanvasSide;
    canvas[static_cast<std::size_t>(pixel)] = mix(color, other, std::clamp(t, 0.0F, 1.0F));
  }
}

void paint_clutter(Canvas& canvas, Draws& draws, const Color& background) {
  for (int strokes = draws.below(5); strokes > 0; --strokes) {
    const Point from{draws.uniform(-16, 16), draws.uniform(-16, 16)};
    const Point along = direction(draws.uniform(0, 2 * kPi));
    const float reach = draws.chance(0.5F) ? 0 : draws.uniform(2, 9);
    const Color color = contrasting_color(draws, background, draws.uniform(0.1F, 0.5F), draws.chance(0.5F));
    paint_stroke(canvas, color, from, {from.x + reach * along.x, from.y + reach * along.y}, draws.uniform(0.5F, 1.4F));
  }
}

Pose draw_pose(Draws& draws, Figure figure, bool hard) {
  Pose pose;
  pose.radius = hard ? draws.uniform(5.5F, 7.5F) : draws.uniform(7.5F, 12.0F);
  const float room = 14 - pose.radius;
  pose.center = {draws.uniform(-room, room), draws.uniform(-room, room)};
  pose.angle = draws.uniform(0, 2 * kPi);
  pose.stretch = draws.uniform(0.88F, 1.14F);
  pose.detail = draw_detail(draws, figure, pose.radius);
  pose.round = draws.chance(0.5F);
  pose.mirrored = draws.chance(0.5F);
  return pose;
}

void paint_figure(Canvas& canvas, const Color& color, Figure figure, const Pose& pose) {
  const Point axis = direction(pose.angle);
  const float x_scale = (pose.mirrored ? -1.0F : 1.0F) / (pose.radius * pose.stretch);
  const float y_scale = pose.stretch / pose.radius;
  paint(canvas, color, [&](Point p) {
    const Point offset{p.x - pose.center.x, p.y - pose.center.y};
    const Point local{dot(offset, axis) * x_scale, (offset.y * axis.x - offset.x * axis.y) * y_scale};
    return figure_distance(figure, pose, local) * pose.radius;
  });
}

/// A bar that passes somewhere through the figure, from edge to edge.
void paint_bar(Canvas& canvas, Draws& draws, const Pose& pose) {
  const Point along = direction(draws.uniform(0, kPi));
  const float aside = draws.uniform(-0.8F, 0.8F) * pose.radius;
  const Point middle{pose.center.x - aside * along.y, pose.center.y + aside * along.x};
  const Color color = random_color(draws, 0.05F, 0.95F);
  paint_stroke(canvas, color, {middle.x - 64 * along.x, middle.y - 64 * along.y},
               {middle.x + 64 * along.x, middle.y + 64 * along.y}, draws.uniform(0.7F, 1.5F));
}

/// Adds noise of standard deviation `sigma` and rounds to 8 bits.
void develop(const Canvas& canvas, const Draws& draws, float sigma, std::uint8_t* pixels) {
  // Four bytes of one word add up to nearly a normal distribution: mean 510, variance 4 (256^2 - 1) / 12.
  constexpr float unit = 1 / 147.8F;
  const auto finish = [&](float value, std::uint32_t word) {
    const std::uint32_t bytes = (word & 255U) + (word >> 8 & 255U) + (word >> 16 & 255U) + (word >> 24);
    const float noise = (static_cast<float>(bytes) - 510) * unit * sigma;
    return static_cast<std::uint8_t>(std::clamp((value + noise) * 255, 0.0F, 255.0F) + 0.5F);
  };
  for (int pixel = 0; pixel < kCanvasPixels; ++pixel) {
    const PhiloxCounter words = draws.pixel_block(pixel);
    const Color& color = canvas[static_cast<std::size_t>(pixel)];
    *pixels++ = finish(color.red, words[0]);
    *pixels++ = finish(color.green, words[1]);
    *pixels++ = finish(color.blue, words[2]);
  }
}

void paint_picture(Draws draws, Figure figure, std::uint8_t* pixels) {
  Canvas canvas;
  const bool hard = draws.chance(0.06F);
  const Color background = random_color(draws, 0.05F, 0.8F);
  paint_background(canvas, draws, background);
  paint_clutter(canvas, draws, background);

  const Pose pose = draw_pose(draws, figure, hard);
  const float contrast = hard ? draws.uniform(0.15F, 0.3F) : draws.uniform(0.4F, 0.9F);
  const bool lighter = draws.chance(0.85F);
  paint_figure(canvas, contrasting_color(draws, background, contrast, lighter), figure, pose);
  if (draws.chance(0.2F)) paint_bar(canvas, draws, pose);
  develop(canvas, draws, hard ? draws.uniform(0.05F, 0.1F) : draws.uniform(0.01F, 0.045F), pixels);
}

class SyntheticSet final : public Dataset {
 public:
  SyntheticSet(std::uint64_t seed, SyntheticSplit split, int images) : seed_(seed), split_(split), size_(images) {}

  const DatasetInfo& info() const override { return info_; }
  std::int64_t size() const override { return size_; }
  std::int32_t label(std::int64_t number) const override { return static_cast<std::int32_t>(number % kClasses); }
  void read(std::int64_t number, std::span<std::uint8_t> pixels) const override {
    paint_picture(Draws(seed_, split_, static_cast<std::uint32_t>(number)), static_cast<Figure>(label(number)),
                  pixels.data());
  }

 private:
  DatasetInfo info_{kCanvasSide, kCanvasSide, {kClassNames.begin(), kClassNames.end()}};
  std::uint64_t seed_;
  SyntheticSplit split_;
  int size_;
};

}  // namespace

void add_synthetic_keys(ConfigSchema& schema) {
  auto data = schema.part<SyntheticConfig>("data");
  data.add("synthetic_train", &SyntheticConfig::train, at_least(1), "training images of the synthetic set");
  data.add("synthetic_test", &SyntheticConfig::test, at_least(1), "test images of the synthetic set");
}

DataSplits open_synthetic(const Config& config) {
  const auto& options = config.part<SyntheticConfig>();
  return {synthesize(config.seed, SyntheticSplit::train, options.train),
          synthesize(config.seed, SyntheticSplit::test, options.test)};
}

std::string describe_synthetic(const Config& config) {
  return fmt::format(", {} test images", config.part<SyntheticConfig>().test);
}

std::unique_ptr<const Dataset> synthesize(std::uint64_t seed, SyntheticSplit split, int images) {
  require(images >= 0, "synthesize: {} images", images);
  return std::make_unique<SyntheticSet>(seed, split, images);
}

}  // namespace bsq
