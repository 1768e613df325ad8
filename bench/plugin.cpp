// What libbsq_bench.so exports.
#include "bench/bench_run.h"
#include "bench/plugin.h"

extern "C" __attribute__((visibility("default"))) const bsq::bench::Plugin* bsq_bench_plugin() {
  static const bsq::bench::Plugin plugin{.run = bsq::bench::run};
  return &plugin;
}
