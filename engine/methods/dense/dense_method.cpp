#include "engine/methods/dense/dense_method.h"

#include "engine/methods/dense/dense_keys.h"
#include "engine/model/dense_weights.h"

namespace bsq {
namespace {

class DenseMethod final : public Method {
 public:
  explicit DenseMethod(int act_bits) : act_bits_(act_bits) {}

  MethodDescription describe() const override { return {.title = "float"}; }
  std::unique_ptr<WeightStore> make_store(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                          const Weights& from) const override {
    return std::make_unique<DenseWeights>(memory, layout, gradients, *from);
  }
  std::string_view result_form() const override { return kFloatForm; }
  int act_bits() const override { return act_bits_; }

 private:
  int act_bits_;
};

}  // namespace

std::unique_ptr<Method> make_dense_method(const Config& config) {
  return std::make_unique<DenseMethod>(config.part<PretrainConfig>().act_bits);
}

}  // namespace bsq
