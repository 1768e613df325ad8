// `bsq bench`, behind its command line.
#pragma once

#include "bench/plugin.h"

namespace bsq::bench {

/// Measures and prints. Returns 0, or 5 if a row could not be measured; throws Error.
int run(const Options& options);

}  // namespace bsq::bench
