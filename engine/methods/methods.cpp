#include "engine/methods/methods.h"

#include "engine/methods/bsq/bsq_keys.h"
#include "engine/methods/bsq/bsq_method.h"
#include "engine/methods/csq/csq_keys.h"
#include "engine/methods/csq/csq_method.h"
#include "engine/methods/dense/dense_keys.h"
#include "engine/methods/dense/dense_method.h"
#include "engine/methods/dorefa/dorefa_keys.h"
#include "engine/methods/dorefa/dorefa_method.h"
#include "engine/methods/fixed_point/fixed_point_keys.h"
#include "engine/methods/fixed_point/fixed_point_method.h"
#include "engine/methods/lsq/lsq_keys.h"
#include "engine/methods/lsq/lsq_method.h"
#include "engine/methods/msq/msq_keys.h"
#include "engine/methods/msq/msq_method.h"
#include "kernels/base/error.h"

#include <fmt/format.h>

namespace bsq {
namespace {

constexpr bool kStandard = true;
constexpr bool kStartsUntrained = true;
constexpr bool kStandsAlone = true;

/// Finetuning takes the levels of the stage before it over.
void check_ranges(const Config& config, std::vector<Conflict>& conflicts) {
  if (!config.runs("lsq") || !config.runs("finetune") || config.part<LsqConfig>().range == "symmetric") return;
  const FinetuneConfig& finetune = config.part<FinetuneConfig>();
  const bool is_lsq = finetune.method == "lsq";
  if (is_lsq && finetune.range == "asymmetric") return;
  conflicts.push_back({{"lsq.range", is_lsq ? "finetune.range" : "finetune.method"},
                       fmt::format("lsq.range = asymmetric and finetune.{}, whose levels are symmetric; set "
                                   "finetune.method to lsq and finetune.range to asymmetric, or leave finetune out",
                                   is_lsq ? "range = symmetric" : "method = fixed")});
}

void add_finetuner_keys(ConfigSchema& schema) {
  add_finetune_keys(schema);
  schema.add_check("finetune", check_ranges);
}

std::unique_ptr<Method> make_finetuner(const Config& config) {
  const FinetuneConfig& finetune = config.part<FinetuneConfig>();
  return finetune.method == "lsq" ? make_lsq_finetuner(config, finetune.steps, finetune.range)
                                  : make_fixed_point_method(config);
}

}  // namespace

const std::vector<MethodEntry>& methods() {
  static const std::vector<MethodEntry> table = {
      {{{"pretrain", add_pretrain_keys}, StageWidths::none, kStandard, kStartsUntrained}, make_dense_method},
      {{{"convert"}, StageWidths::finds, kStandard}, make_bsq_method},
      {{{"bsq", add_bsq_keys}, StageWidths::finds, kStandard}, make_bsq_method},
      {{{"csq", add_csq_keys}, StageWidths::finds, !kStandard, kStartsUntrained}, make_csq_method},
      {{{"lsq", add_lsq_keys}, StageWidths::finds}, make_lsq_method},
      {{{"dorefa", add_dorefa_keys}, StageWidths::finds, !kStandard, kStartsUntrained, kStandsAlone},
       make_dorefa_method},
      {{{"msq", add_msq_keys}, StageWidths::finds, !kStandard, kStartsUntrained}, make_msq_method},
      {{{"finetune", add_finetuner_keys}, StageWidths::needs, kStandard}, make_finetuner},
  };
  return table;
}

std::unique_ptr<Method> method_of_stage(const std::string& stage, const Config& config) {
  for (const MethodEntry& entry : methods())
    if (stage == entry.name) return entry.make(config);
  fail(ErrorKind::usage, "stages: there is no stage {}", stage);
}

}  // namespace bsq
