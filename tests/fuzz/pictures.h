// What the targets of all image formats do: the size from the header, then the pixels.
#pragma once

#include "tests/fuzz/foreign_bytes.h"

namespace bsq::fuzz {

/// Reads a picture of these bytes, in whatever format they are.
void read_picture(std::string_view bytes);

}  // namespace bsq::fuzz
