// `bsq check`: whether a deployed model computes here what it computed where it was made.
#include "engine/deployed/check_vectors.h"
#include "engine/deployed/deployed_file.h"
#include "kernels/base/error.h"
#include "tools/cli/arguments.h"
#include "tools/export/onnx/check_graph.h"
#include "tools/export/onnx/onnx_file.h"

namespace bsq {

int check_command(const Arguments& arguments) {
  std::string path, runtime;
  CommandLine app(
      "Runs the pictures that a deployed model carries, and compares the checksum of every tensor's levels.",
      "bsq check");
  app.add_path("file", path, "of bsq export --format deployed, or --format onnx with a runtime")
      ->required()
      ->option_text("FILE");
  app.add_option(
         "--runtime", runtime,
         "run an ONNX file in onnxruntime or openvino (default: what it is for), a package of BSQ_PYTHON or python3")
      ->option_text("NAME");
  if (!parse_arguments(app, arguments)) return 0;
  if (path.ends_with(".onnx")) {
    require_onnx();
    fmt::print("{}: {}\n", path, check_graph(path, runtime));
    return 0;
  }
  if (!runtime.empty()) fail(ErrorKind::usage, "--runtime {}: is for ONNX files; {} runs here", runtime, path);
  const TensorFile file = read_safetensors(path);
  if (!is_deployed(file))
    fail(ErrorKind::usage, "{}: is no deployed model; bsq export {} --format deployed makes one", path, path);
  const DeployedNetwork network = read_deployed(file);
  const std::optional<CheckVectors> vectors = read_check(network, file);
  if (!vectors) fail(ErrorKind::usage, "{}: carries no pictures to be checked with", path);
  if (const std::string name = first_difference(network, *vectors); !name.empty())
    fail(ErrorKind::verification, "{}: computes something else here, from {} on", path, name);
  fmt::print("{}: {} pictures, every level of {} tensors and every logit as where it was made\n", path,
             vectors->pictures.size() / network.tensors[0].numel(), network.tensors.size());
  return 0;
}

}  // namespace bsq
