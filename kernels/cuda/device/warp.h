// The size of a warp, for plain C++ as well.
#pragma once

namespace bsq::cuda {

constexpr int kWarp = 32;

}  // namespace bsq::cuda
