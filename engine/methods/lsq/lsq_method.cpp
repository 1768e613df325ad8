#include "engine/methods/lsq/lsq_method.h"

#include "engine/methods/lsq/lsq_weights.h"

#include <fmt/format.h>

namespace bsq {
namespace {

class LsqMethod final : public Method {
 public:
  explicit LsqMethod(const QuantConfig& quant) : quant_(quant) {}

  MethodDescription describe() const override {
    return {.title = "LSQ", .settings = fmt::format("float weights start with {} bits and a sign", quant_.weight_bits)};
  }
  std::unique_ptr<WeightStore> make_store(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                          const Weights& from) const override {
    const Weights weights = StoredLsq::convert(from, layout, start_bits(layout, quant_.weight_bits));
    return std::make_unique<LsqWeights>(memory, layout, gradients, dynamic_cast<const StoredLsq&>(*weights));
  }
  std::string refusal(const StoredWeights& from, const ArenaLayout& layout) const override {
    return width_conflict(from, layout);
  }
  std::string_view result_form() const override { return kQuantizedForm; }
  int act_bits() const override { return quant_.act_bits; }

 private:
  QuantConfig quant_;
};

}  // namespace

std::unique_ptr<Method> make_lsq_method(const Config& config) {
  return std::make_unique<LsqMethod>(config.quant);
}

}  // namespace bsq
