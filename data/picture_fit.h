// Pictures of any size -> the one size that a network sees: as torchvision's Resize(N) and CenterCrop do.
#pragma once

#include "data/resize.h"
#include "engine/config/config.h"

#include <filesystem>
#include <string>

namespace bsq {

struct PictureFit {
  int resize = 0;  // pixels of the shorter side, before the centre is cut out; 0: pictures must have their size
  Interpolation interpolation = Interpolation::bilinear;
};

/// What a configuration says.
PictureFit fit_of(const DataConfig& data);

/// Throws Error(checkpoint) if what the model file `path` says of sizes cannot be meant.
void check_fit_of_model(const DataConfig& data, const std::string& path);

/// Decodes a file into pixels [size.height, size.width, 3]. Returns what a user should know of the file, mostly
/// nothing. Throws Error(data) as read_image() does.
std::string read_fitted_image(const std::filesystem::path& path, ImageSize size, const PictureFit& fit,
                              std::uint8_t* pixels, const std::string& reason = "");

}  // namespace bsq
