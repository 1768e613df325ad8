// Layouts and transfers that stores share.
#include "engine/model/weight_store.h"

#include "engine/model/tensor_names.h"

namespace bsq {

WeightStorage storage_of(const ParameterSlot& slot) {
  if (!slot.is_filter()) return WeightStorage::values;
  return slot.dtype == DType::bf16 ? WeightStorage::integers_bf16 : WeightStorage::integers;
}

TensorView stored_weights(const ParameterSlot& slot, const Buffer& arena, const float* unit) {
  const bool are_integers = storage_of(slot) != WeightStorage::values;
  return {slot.dtype, slot.spec.shape, arena.as<float>() + slot.offset, {.weight = are_integers ? unit : nullptr}};
}

std::size_t padded(std::size_t count) {
  constexpr std::size_t kMultiple = 16;
  return (count + kMultiple - 1) / kMultiple * kMultiple;
}

void load_tensor(Backend& backend, const ParameterSlot& slot, float* arena, const TensorFile& file,
                 const std::string& name) {
  upload_array(backend, arena + slot.offset, read_tensor(file, name, slot.spec));
}

}  // namespace bsq
