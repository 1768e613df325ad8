#include "engine/methods/bsq/bsq_keys.h"

#include "engine/config/config_schema.h"

#include <fmt/format.h>

namespace bsq {
namespace {

void warn_of_interval(const Config& config, std::vector<std::string>& warnings) {
  const int interval = config.part<BsqConfig>().requant_interval, epochs = config.stage("bsq").epochs;
  if (!config.runs("bsq") || interval < epochs) return;
  warnings.push_back(fmt::format("bsq.requant_interval = {}, bsq.epochs = {}; no re-quantization before the final one",
                                 interval, epochs));
}

}  // namespace

void add_bsq_keys(ConfigSchema& schema) {
  schema.add_training("bsq", {.epochs = 350, .lr = 0.1, .milestones = {250}});
  auto bsq = schema.part<BsqConfig>("bsq");
  bsq.add("alpha", &BsqConfig::alpha, at_least(0), "strength of the penalty on bit planes; more gives fewer bits",
          "--decay");
  bsq.add("requant_interval", &BsqConfig::requant_interval, at_least(1), "epochs from one re-quantization to the next",
          "--Prun_Int");
  bsq.add("prune_threshold", &BsqConfig::prune_threshold, between(0, 100),
          "percent of ones at or below which a plane is dropped", "--thre");
  schema.add_warning(warn_of_interval);
}

}  // namespace bsq
