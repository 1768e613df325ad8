// What libbsq_bench.so exports, and who loads it: one function that returns a table of functions.
//
// A plug-in, so that what `bsq bench` alone needs is neither linked into the program nor started with it. It brings an
// engine of its own along. Both sides are built from the same sources; `abi` catches a library left from another build.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace bsq::bench {

/// The number of the interface that is made by this header and all it includes: a hash, which the build makes
/// (cmake/InterfaceNumber.cmake). Plug-in and loader have one each.
extern const std::uint64_t kPluginAbi;

/// The command line of `bsq bench`.
struct Options {
  std::string suite;   // "ops", "planes" or "step"; empty: all three
  std::string filter;  // empty: every row
  std::string device = "auto";
  std::string precision;  // empty: all that the device has
  std::string shapes = "resnet20";
  std::string cache = "both";
  int batch = 128;
  int threads = 0;       // 0: all cores
  double seconds = 0.2;  // of measuring, per row and state of the caches; 0: two calls each, and no peaks
  int depth = 20;
  int weight_bits = 8;
  int act_bits = 4;
  int burst = 0;  // steps enqueued one behind the other; 0: 1 on a CPU, 20 on a GPU
  bool list = false;
  bool peers = false;
  std::string python;  // empty: the first python3 there is
  std::filesystem::path json;
  std::filesystem::path against;
  int columns = 100;    // of the terminal
  std::string version;  // of the program
  std::string machine;  // name of the processor
};

struct Plugin {
  std::uint64_t abi = kPluginAbi;
  /// Prints to stdout as rows are measured. Returns the exit code, or throws Error.
  int (*run)(const Options& options) = nullptr;
};

constexpr const char* kPluginFile = "libbsq_bench.so";
constexpr const char* kPluginSymbol = "bsq_bench_plugin";

}  // namespace bsq::bench
