// The table of all gradients, made once: places and units in device memory stay where they are.
#include "engine/training/gradient_clipper.h"

namespace bsq {

GradientClipper::GradientClipper(DeviceMemory& memory, Model& model, float max_norm)
    : backend_(memory.backend()), gradients_(model.gradients()), max_norm_(max_norm) {
  if (max_norm == 0) return;
  const ParameterMemory& parameters = model.parameters();
  for (std::size_t i = 0; i < parameters.gradients.size(); ++i)
    tensors_.push_back({.numel = parameters.values[i].shape.numel(),
                        .weight_offset = parameters.gradients[i] - gradients_.as<float>(),
                        .unit = parameters.values[i].unit.weight});
  table_ = memory.allocate_array<GradientTensor>("gradient clipping, table", tensors_.size());
  upload_array(backend_, table_.as<GradientTensor>(), tensors_);
  scratch_ = memory.allocate("gradient clipping, scratch",
                             backend_.clip_scratch_bytes({tensors_, table_.as<GradientTensor>()}));
}

void GradientClipper::enqueue() {
  if (tensors_.empty()) return;
  const Range range(backend_, "gradient clipping");
  backend_.clip_gradients({.tensors = {tensors_, table_.as<GradientTensor>()},
                           .max_norm = max_norm_,
                           .gradients = gradients_.as<float>(),
                           .scratch = scratch_.data()});
}

}  // namespace bsq
