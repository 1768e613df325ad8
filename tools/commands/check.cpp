// `bsq check`: whether a deployed model computes here what it computed where it was made.
#include "engine/deployed/check_vectors.h"
#include "engine/deployed/deployed_file.h"
#include "kernels/base/error.h"
#include "tools/cli/arguments.h"

namespace bsq {

int check_command(const Arguments& arguments) {
  std::string path;
  CommandLine app(
      "Runs the pictures that a deployed model carries, and compares the checksum of every tensor's levels.",
      "bsq check");
  app.add_path("file", path, "a file of bsq export --format deployed")->required()->option_text("FILE");
  if (!parse_arguments(app, arguments)) return 0;
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
