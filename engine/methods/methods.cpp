#include "engine/methods/methods.h"

#include "engine/methods/bsq/bsq_method.h"
#include "engine/methods/dense/dense_method.h"
#include "engine/methods/fixed_point/fixed_point_method.h"
#include "kernels/base/error.h"

namespace bsq {
namespace {

template <auto section>
const StageConfig* training_in(const Config& config) {
  return &(config.*section);
}

constexpr MethodEntry kMethods[] = {
    {"pretrain", training_in<&Config::pretrain>, make_dense_method},
    {"convert", nullptr, make_bsq_method},
    {"bsq", training_in<&Config::bsq>, make_bsq_method},
    {"finetune", training_in<&Config::finetune>, make_fixed_point_method},
};

}  // namespace

std::span<const MethodEntry> methods() {
  return kMethods;
}

const MethodEntry& method_of_stage(const std::string& stage) {
  for (const MethodEntry& entry : kMethods)
    if (stage == entry.stage) return entry;
  fail(ErrorKind::usage, "stages: there is no stage {}", stage);
}

const StageConfig* training_of_stage(const Config& config, const std::string& stage) {
  const auto training = method_of_stage(stage).training;
  return training == nullptr ? nullptr : training(config);
}

}  // namespace bsq
