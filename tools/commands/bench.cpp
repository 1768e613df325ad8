// `bsq bench`: how fast the operators, the passes over bit planes and whole training steps are here, against what the
// machine can do, against an earlier measurement and against PyTorch. All measuring is in libbsq_bench.so.
#include "bench/plugin.h"
#include "kernels/base/error.h"
#include "kernels/base/plugin_library.h"
#include "tools/cli/arguments.h"
#include "tools/cli/build_info.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace bsq {
namespace {

const std::vector<std::string> kSuites = {"ops", "planes", "step"};

/// The columns of the terminal that shows stdout; 100 if there is none.
int output_columns() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return bench::Options().columns;
}

void add_what(CommandLine& app, bench::Options& options, std::vector<std::string>& words) {
  app.add_option("words", words, "what")->option_text("[ops|planes|step] [FILTER]");
  app.add_flag("--list", options.list, "names of the rows, nothing is measured");
  app.add_option("--device", options.device, "auto | cpu | cuda")
      ->one_of({"auto", "cpu", "cuda"})
      ->option_text("DEVICE");
  app.add_option("--precision", options.precision, "fp32 | tf32 | bf16; default: all that the device has")
      ->one_of({"fp32", "tf32", "bf16"})
      ->option_text("P");
  app.add_option("--batch", options.batch, "images; default 128")->between(1, 1 << 20)->option_text("N");
  app.add_option("--threads", options.threads, "of a CPU; default: as key threads of a configuration")
      ->between(0, 1024)
      ->option_text("N");
  app.add_option("--seconds", options.seconds,
                 "of measuring a row, default 0.2; 0: two calls each and no peaks, to see that all runs")
      ->option_text("S");
  app.add_option("--shapes", options.shapes, "ops: resnet20 | large (layers of a ResNet-50) | all")
      ->one_of({"resnet20", "large", "all"})
      ->option_text("S");
  app.add_option("--cache", options.cache, "ops, planes: warm | cold (cleared before every call) | both")
      ->one_of({"warm", "cold", "both"})
      ->option_text("STATE");
  app.add_option("--depth", options.depth, "step: of the ResNet; default 20")->between(8, 1202)->option_text("N");
  app.add_option("--bits", options.weight_bits, "step: of the weights; default 8")->between(1, 8)->option_text("N");
  app.add_option("--act-bits", options.act_bits, "step: of activations, 0: not quantized; default 4")
      ->between(0, 8)
      ->option_text("N");
  app.add_option("--burst", options.burst, "step: so many without a wait; default 1, on a GPU 20")
      ->between(0, 100000)
      ->option_text("N");
}

void add_comparisons(CommandLine& app, bench::Options& options) {
  app.add_path("--json", options.json, "writes all figures into FILE")->option_text("FILE");
  app.add_path("--against", options.against, "the change since an earlier --json, and whether it is more than noise")
      ->option_text("FILE");
  app.add_flag("--peers", options.peers, "PyTorch's time of the same, where python3 imports torch");
  app.add_path("--python", options.python, "the python3 of --peers; default: the first on the PATH")
      ->option_text("PROGRAM");
}

bool parse(const Arguments& arguments, bench::Options& options) {
  std::vector<std::string> words;
  CommandLine app("Measures operators, the passes over bit planes and training steps on this machine.", "bsq bench");
  add_what(app, options, words);
  add_comparisons(app, options);
  app.footer(
      "FILTER is a part of rows' names or a regular expression, letter case ignored: 'conv2d.*stage1', 'step bsq'.\n"
      "+- is half the distance between the fastest and the slowest tenth of the calls; peaks are measured in the same\n"
      "run, and shares are of them. --against calls a change more than noise where it is beyond twice the spreads of\n"
      "both, added as squares, and beyond 1 %.");
  if (!parse_arguments(app, arguments)) return false;
  if (words.size() > 2) fail(ErrorKind::usage, "unexpected '{}'; see bsq bench --help", words[2]);
  if (!words.empty() && std::ranges::count(kSuites, words[0]) == 0)
    fail(ErrorKind::usage, "bsq bench: what is '{}'? usage: bsq bench [ops|planes|step] [FILTER]", words[0]);
  if (!(options.seconds >= 0 && options.seconds <= 3600))
    fail(ErrorKind::usage, "bsq bench: --seconds {}: use a number from 0 to 3600", options.seconds);
  if (options.depth % 6 != 2)
    fail(ErrorKind::usage, "bsq bench: --depth {}: a ResNet has 6 n + 2 layers: 8, 14, 20, 26, 32 ...", options.depth);
  if (!options.python.empty() && !options.peers)
    fail(ErrorKind::usage, "bsq bench: --python is for --peers, which is missing");
  if (!words.empty()) options.suite = words[0];
  if (words.size() == 2) options.filter = words[1];
  return true;
}

const bench::Plugin& bench_library() {
  if (!std::filesystem::exists(plugin_path(bench::kPluginFile)))
    fail(ErrorKind::usage,
         "this bsq is built without its benchmarks (configure it with -DBSQ_BENCH=ON and build it anew)");
  return load_plugin<bench::Plugin>({.kind = ErrorKind::usage,
                                     .file = bench::kPluginFile,
                                     .symbol = bench::kPluginSymbol,
                                     .scope = RTLD_LOCAL,
                                     .feature = "its benchmarks",
                                     .packages = "what CMake asks for",
                                     .question = "is it of this build?"},
                                    bench::kPluginAbi);
}

}  // namespace

int bench_command(const Arguments& arguments) {
  bench::Options options;
  if (!parse(arguments, options)) return 0;
  options.columns = output_columns();
  options.version = full_version();
  options.machine = cpu_name();
  return bench_library().run(options);
}

}  // namespace bsq
