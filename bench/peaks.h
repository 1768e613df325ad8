// What the device can do, measured through the backend itself before anything is compared with it.
//
//   bytes/s  sgd_step, which reads three arrays and writes two of them and so has no hidden traffic, over 256 MiB, more
//            than any cache, and over 1, 8 and 32 MiB, which some hold
//   flop/s   a 1x1 convolution from 1024 to 1024 channels over 4096 pixels (65536 on a GPU): a large matrix product
//   call     sgd_step of 16 numbers
#pragma once

#include "bench/stopwatch.h"

#include <vector>

namespace bsq::bench {

/// A way to compute: a backend and what convolutions multiply on it. tf32 has a backend of its own, which allows it.
struct Type {
  Backend* backend = nullptr;
  Precision precision = Precision::fp32;
};

Peaks measure_peaks(const std::vector<Type>& types, double seconds);

}  // namespace bsq::bench
