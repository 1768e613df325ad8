#include "engine/methods/methods.h"

#include "engine/methods/bsq/bsq_keys.h"
#include "engine/methods/bsq/bsq_method.h"
#include "engine/methods/csq/csq_keys.h"
#include "engine/methods/csq/csq_method.h"
#include "engine/methods/dense/dense_keys.h"
#include "engine/methods/dense/dense_method.h"
#include "engine/methods/fixed_point/fixed_point_keys.h"
#include "engine/methods/fixed_point/fixed_point_method.h"
#include "engine/methods/lsq/lsq_keys.h"
#include "engine/methods/lsq/lsq_method.h"
#include "kernels/base/error.h"

namespace bsq {
namespace {

constexpr bool kStandard = true;
constexpr bool kStartsUntrained = true;

}  // namespace

const std::vector<MethodEntry>& methods() {
  static const std::vector<MethodEntry> table = {
      {{{"pretrain", add_pretrain_keys}, StageWidths::none, kStandard, kStartsUntrained}, make_dense_method},
      {{{"convert"}, StageWidths::finds, kStandard}, make_bsq_method},
      {{{"bsq", add_bsq_keys}, StageWidths::finds, kStandard}, make_bsq_method},
      {{{"csq", add_csq_keys}, StageWidths::finds, !kStandard, kStartsUntrained}, make_csq_method},
      {{{"lsq", add_lsq_keys}, StageWidths::finds}, make_lsq_method},
      {{{"finetune", add_finetune_keys}, StageWidths::needs, kStandard}, make_fixed_point_method},
  };
  return table;
}

std::unique_ptr<Method> method_of_stage(const std::string& stage, const Config& config) {
  for (const MethodEntry& entry : methods())
    if (stage == entry.name) return entry.make(config);
  fail(ErrorKind::usage, "stages: there is no stage {}", stage);
}

}  // namespace bsq
