// Images as the network sees them, as a figure.
#pragma once

#include "tools/pictures/seen_pictures.h"
#include "tools/report/charts/svg.h"

namespace bsq {

/// A row per image: as evaluation sees it, and as training does in its first epochs.
charts::Svg picture_figure(const SeenPictures& pictures);

}  // namespace bsq
