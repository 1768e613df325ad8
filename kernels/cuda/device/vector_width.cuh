// How wide the accesses of a kernel over channels can be.
#pragma once

#include "kernels/cuda/device/device.cuh"

namespace bsq::cuda {

template <typename T, int Width, typename Body>
void with_width(int channels, Body body) {
  if constexpr (Width == 1) {
    body.template operator()<T, 1>();
  } else {
    channels % Width == 0 ? body.template operator()<T, Width>() : with_width<T, Width / 2>(channels, body);
  }
}

/// Calls body<T, Width>() for the type of a tensor and the widest access that pixels of so many channels allow.
template <typename Body>
void with_vectors(DType dtype, int channels, Body body) {
  with_element(dtype, [&]<typename T>() { with_width<T, kVectorWidth<T>>(channels, body); });
}

}  // namespace bsq::cuda
