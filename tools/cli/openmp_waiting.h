// How long OpenMP threads that wait for each other keep their cores busy.
#pragma once

namespace bsq {

/// Makes waiting threads sleep after microseconds, by starting the program over with GOMP_SPINCOUNT set. Returns if the
/// environment sets how threads wait already. To be called before anything else is done.
void shorten_openmp_spins(char** argv);

}  // namespace bsq
