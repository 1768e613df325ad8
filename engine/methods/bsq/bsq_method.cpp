#include "engine/methods/bsq/bsq_method.h"

#include "engine/methods/bsq/bsq_keys.h"
#include "engine/methods/bsq/plane_weights.h"

#include <fmt/format.h>

namespace bsq {
namespace {

class BsqMethod final : public Method {
 public:
  explicit BsqMethod(const Config& config) : options_(config.part<BsqConfig>()), quant_(config.quant) {}

  MethodDescription describe() const override {
    return {.title = "BSQ",
            .settings = fmt::format("alpha {:g}, re-quantization every {} epochs, threshold {:g} %", options_.alpha,
                                    options_.requant_interval, options_.prune_threshold),
            .strength_key = "bsq.alpha",
            .penalty = PenaltyDescription{
                .title = "Group penalty of BSQ", .meaning = "The penalty R on bit planes", .factor = "bsq.alpha"}};
  }
  std::unique_ptr<WeightStore> make_store(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                          const Weights& from) const override {
    const Weights planes = StoredPlanes::convert(from, layout, start_bits(layout, quant_.weight_bits));
    return std::make_unique<PlaneWeights>(memory, layout, gradients, static_cast<const StoredPlanes&>(*planes),
                                          quant_.max_bits);
  }
  std::string refusal(const StoredWeights& from, const ArenaLayout& layout) const override {
    return width_conflict(from, layout);
  }
  std::string_view result_form() const override { return StoredPlanes::kForm; }
  int act_bits() const override { return quant_.act_bits; }
  /// The strength of the penalty.
  std::array<float, 4> step_numbers(int /*epoch*/) const override { return {static_cast<float>(options_.alpha)}; }

  bool adjusts(int epoch, bool is_end) const override { return is_end || epoch % options_.requant_interval == 0; }
  void adjust(WeightStore& store, bool /*is_end*/) override {
    auto& plane_weights = static_cast<PlaneWeights&>(store);
    std::vector<BitPlanes> planes = plane_weights.planes();
    for (std::size_t i = 0; i < planes.size(); ++i) {
      requantize(planes[i], plane_weights.most_bits()[i]);
      if (!plane_weights.layout().slots[i].spec.widths.fixed) adjust_precision(planes[i], options_.prune_threshold);
    }
    plane_weights.set_planes(planes);
  }
  std::string advice_against_zeros() const override { return fmt::format("lower bsq.alpha ({:g})", options_.alpha); }

 private:
  BsqConfig options_;
  QuantConfig quant_;
};

}  // namespace

std::unique_ptr<Method> make_bsq_method(const Config& config) {
  return std::make_unique<BsqMethod>(config);
}

}  // namespace bsq
