// Weights in the forms that tests ask for, and back.
#pragma once

#include "engine/methods/bsq/plane_weights.h"
#include "engine/methods/fixed_point/fixed_point_weights.h"
#include "engine/methods/lsq/lsq_weights.h"
#include "engine/methods/weight_forms.h"
#include "engine/model/model.h"

#include <utility>
#include <vector>

namespace bsq::test {

/// Finds the tensors of a file, for families of networks that recognize theirs.
inline std::function<const HostTensor*(const std::string&)> finder_in(const TensorFile& file) {
  return [&file](const std::string& parameter) { return find_parameter(file, parameter); };
}

/// The store of a model whose weights are bit planes.
inline PlaneWeights& plane_store(Model& model) {
  return dynamic_cast<PlaneWeights&>(model.quantized());
}

/// The tensors of weights that are known to be of this form.
inline std::vector<BitPlanes> planes_of(const Weights& weights) {
  return dynamic_cast<const StoredPlanes&>(*weights).all();
}
inline std::vector<FixedPoint> fixed_of(const Weights& weights) {
  return dynamic_cast<const StoredFixedPoint&>(*weights).all();
}
inline Weights as_weights(std::vector<BitPlanes> planes) {
  return std::make_shared<StoredPlanes>(std::move(planes));
}
inline Weights as_weights(std::vector<FixedPoint> tensors) {
  return std::make_shared<StoredFixedPoint>(std::move(tensors));
}
inline Weights as_weights(DenseTensors tensors) {
  return std::make_shared<StoredDense>(std::move(tensors));
}
inline Weights as_weights(const Weights& weights) {
  return weights;
}

/// Conversions of weights in any of these forms.
template <typename Tensors>
DenseTensors to_dense(const Tensors& weights) {
  return all_values(*as_weights(weights));
}
template <typename Tensors>
std::vector<BitPlanes> to_planes(const Tensors& weights, const std::vector<int>& bits = {}) {
  return planes_of(StoredPlanes::convert(as_weights(weights), bits));
}
template <typename Tensors>
std::vector<FixedPoint> to_fixed(const Tensors& weights) {
  return fixed_of(StoredFixedPoint::convert(as_weights(weights), {}));
}

/// The file of a model, its weights in another form; float weights have no planes.
inline TensorFile save_as(const Model& model, const ModelState& state, std::string_view form) {
  return model.save(state, state.weights->is_quantized() ? *convert_weights(form, state.weights) : *state.weights);
}
inline TensorFile save_as(const Model& model, std::string_view form) {
  return save_as(model, model.state(), form);
}

}  // namespace bsq::test
