#include "engine/methods/dorefa/dorefa_method.h"

#include "engine/methods/dorefa/dorefa_weights.h"

#include <fmt/format.h>

namespace bsq {
namespace {

class DorefaMethod final : public Method {
 public:
  explicit DorefaMethod(const QuantConfig& quant) : quant_(quant) {}

  MethodDescription describe() const override {
    return {.title = "DoReFa",
            .settings = fmt::format("{} bits, sign included", quant_.weight_bits),
            .strength_key = "quant.weight_bits"};
  }
  std::unique_ptr<WeightStore> make_store(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                          const Weights& from) const override {
    const Weights weights = StoredDorefa::convert(from, start_bits(layout, quant_.weight_bits));
    return std::make_unique<DorefaWeights>(memory, layout, gradients, dynamic_cast<const StoredDorefa&>(*weights));
  }
  std::string refusal(const StoredWeights& from, const ArenaLayout& layout) const override {
    if (from.form() == StoredDorefa::kForm) return width_conflict(from, layout);
    if (!from.is_quantized()) return {};
    return "has weights on a grid, and dorefa starts from float ones; start from a float model "
           "(model_float.safetensors beside a quantized one), or take another stage";
  }
  std::string_view result_form() const override { return kQuantizedForm; }
  int act_bits() const override { return quant_.act_bits; }

 private:
  QuantConfig quant_;
};

}  // namespace

std::unique_ptr<Method> make_dorefa_method(const Config& config) {
  return std::make_unique<DorefaMethod>(config.quant);
}

}  // namespace bsq
