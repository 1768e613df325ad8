#include "tools/session/network_checks.h"

#include "data/datasets.h"
#include "engine/deployed/deployment_plan.h"
#include "engine/methods/methods.h"
#include "engine/network/layer_kinds.h"
#include "engine/network/multiplications.h"
#include "kernels/base/error.h"
#include "models/families.h"

namespace bsq {

void check_network(const Config& config, const NetworkSpec& spec) {
  const Network network = build_network(spec);
  const ArenaLayout layout = lay_out_quantized(network);
  for (const std::string& stage : config.stages) {
    if (config.find_stage(stage) == nullptr) continue;  // it only converts
    if (const std::string why = method_of_stage(stage, config)->conflict(layout); !why.empty())
      throw Error(ErrorKind::usage, why);
  }
  if (!config.quant.deployed) return;
  if (const std::string obstacle = plan_deployment(network).obstacle; !obstacle.empty())
    fail(ErrorKind::usage, "quant.deployed = true: {} has no deployed form: {}; set quant.deployed to false", spec.name,
         obstacle);
}

void check_network(const Config& config) {
  check_layers(config);
  if (const std::optional<DatasetInfo> images = known_images(config))
    check_network(config, configured_network(config, {images->height, images->width, 3}, images->num_classes()));
}

}  // namespace bsq
