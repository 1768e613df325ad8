#include "engine/methods/fixed_point/fixed_point_method.h"

#include "engine/methods/fixed_point/fixed_point_weights.h"
#include "kernels/base/error.h"

namespace bsq {
namespace {

class FixedPointMethod final : public Method {
 public:
  explicit FixedPointMethod(int act_bits) : act_bits_(act_bits) {}

  MethodDescription describe() const override { return {.title = "finetuned"}; }
  std::unique_ptr<WeightStore> make_store(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                          const Weights& from) const override {
    const Weights fixed = StoredFixedPoint::convert(from, layout, {});
    return std::make_unique<FixedPointWeights>(memory, layout, gradients,
                                               dynamic_cast<const StoredFixedPoint&>(*fixed));
  }
  std::string refusal(const StoredWeights& from, const ArenaLayout& layout) const override {
    if (from.is_quantized()) return symmetric_conflict(from, layout);
    return std::string(kNoWidths);
  }
  std::string_view result_form() const override { return kQuantizedForm; }
  int act_bits() const override { return act_bits_; }

 private:
  int act_bits_;
};

}  // namespace

std::unique_ptr<Method> make_fixed_point_method(const Config& config) {
  return std::make_unique<FixedPointMethod>(config.quant.act_bits);
}

}  // namespace bsq
