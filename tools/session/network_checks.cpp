#include "tools/session/network_checks.h"

#include "data/datasets.h"
#include "engine/deployed/deployment_plan.h"
#include "engine/methods/methods.h"
#include "engine/network/layer_kinds.h"
#include "engine/network/multiplications.h"
#include "kernels/base/error.h"
#include "models/families.h"
#include "tools/session/open_model.h"

#include <algorithm>

namespace bsq {

void check_network(const Config& config, const NetworkSpec& spec, const ModelCard& card) {
  const Quantizer quantizer = quantizer_of(config);
  const ArenaLayout layout =
      lay_out_quantized(network_factory(spec, config, card)(quantizer.activation, quantizer.act_bits));
  for (const std::string& stage : config.stages) {
    if (config.find_stage(stage) == nullptr) continue;  // it only converts
    if (const std::string why = method_of_stage(stage, config)->conflict(layout); !why.empty())
      throw Error(ErrorKind::usage, why);
  }
  if (config.quant.quantizes_signed() &&
      std::ranges::none_of(spec.nodes, [](const NodeSpec& node) { return node.layer == "quantize"; }))
    fail(ErrorKind::usage,
         "quant.signed = lsq_plus; no quantized layer of {} reads numbers of either sign; set quant.signed to float",
         spec.name);
  if (!config.quant.deployed) return;
  if (const std::string obstacle = plan_deployment(build_network(spec)).obstacle; !obstacle.empty())
    fail(ErrorKind::usage, "quant.deployed = true: {} has no deployed form: {}; set quant.deployed to false", spec.name,
         obstacle);
}

void check_network(const Config& config) {
  check_layers(config);
  const std::optional<DatasetInfo> images = known_images(config);
  if (!images) return;
  const NetworkSpec spec = configured_network(config, images->image(), images->num_classes());
  check_network(config, spec, card_of_run(spec, config, *images));
}

}  // namespace bsq
