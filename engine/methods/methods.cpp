#include "engine/methods/methods.h"

#include "engine/methods/bsq/bsq_keys.h"
#include "engine/methods/dense/dense_keys.h"
#include "engine/methods/fixed_point/fixed_point_keys.h"

namespace bsq {

const std::vector<MethodEntry>& methods() {
  static const std::vector<MethodEntry> table = {
      {{{"pretrain", add_pretrain_keys}, StageWidths::none, /*starts_untrained=*/true}},
      {{{"convert"}, StageWidths::finds}},
      {{{"bsq", add_bsq_keys}, StageWidths::finds}},
      {{{"finetune", add_finetune_keys}, StageWidths::needs}},
  };
  return table;
}

}  // namespace bsq
