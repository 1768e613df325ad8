// Pictures of any size -> the one size that a network sees: as torchvision's Resize(N) and CenterCrop do.
#pragma once

#include "data/image_file.h"
#include "data/resize.h"
#include "engine/config/config.h"
#include "engine/input/dataset.h"

#include <string>

namespace bsq {

struct PictureFit {
  int resize = 0;  // pixels of the shorter side, before the centre is cut out; 0: pictures must have their size
  Interpolation interpolation = Interpolation::bilinear;
  int channels = 3;  // or 1: pictures become gray as they are decoded, before anything else
};

/// A part of a picture, as torchvision's RandomResizedCrop takes it: of a random share of the area and random sides.
struct RandomCrop {
  double least_area = 1;  // share of the picture's; the most is 1
  bool reduces = false;  // JPEGs may be decoded at 1/2, 1/4 or 1/8, at least twice as large as what becomes of the part
};

/// Sides from 3:4 to 4:3; the middle, as large as such sides allow, where ten draws do not fit in.
PixelWindow draw_window(ImageSize picture, const RandomCrop& crop, const AugmentKey& key, std::int64_t number);

/// What a configuration says.
PictureFit fit_of(const DataConfig& data);

/// Throws Error(checkpoint) if what the model file `path` says of sizes cannot be meant.
void check_fit_of_model(const DataConfig& data, const std::string& path);

/// Decodes a file into pixels [size.height, size.width, fit.channels]. Returns what a user should know of the file,
/// mostly nothing. Throws Error(data) as read_image() does.
std::string read_fitted_image(const ImageFile& file, ImageSize size, const PictureFit& fit, std::uint8_t* pixels,
                              const std::string& reason = "");

/// Decodes a file, and resizes the part that is drawn to pixels [size.height, size.width, fit.channels]. Returns and
/// throws as read_fitted_image() does.
std::string read_cropped_image(const ImageFile& file, ImageSize size, const PictureFit& fit, const RandomCrop& crop,
                               const AugmentKey& key, std::int64_t number, std::uint8_t* pixels);

}  // namespace bsq
