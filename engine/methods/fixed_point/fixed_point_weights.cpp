#include "engine/methods/fixed_point/fixed_point_weights.h"

#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"

#include <cmath>

namespace bsq {
namespace {

std::vector<FixedPoint> fixed_points_of(const std::vector<FixedTensor>& tensors, const std::vector<float>& u,
                                        const std::vector<float>& scales) {
  std::vector<FixedPoint> result;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto begin = u.begin() + tensors[i].weight_offset;
    result.push_back({tensors[i].bits, scales[i], {begin, begin + tensors[i].numel}});
  }
  return result;
}

}  // namespace

FixedPointWeights::FixedPointWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                     const StoredFixedPoint& stored)
    : backend_(memory.backend()), layout_(layout), gradients_(gradients), turned_(stored.turned()) {
  const std::vector<FixedPoint>& weights = stored.all();
  require(weights.size() == layout.slots.size(), "{} tensors for {} slots", weights.size(), layout.slots.size());
  const std::size_t count = layout.slots.size();
  const auto numel = static_cast<std::size_t>(layout.numel);
  table_ = memory.allocate_array<FixedTensor>("fixed-point weights, table", count);
  u_ = memory.allocate_array<float>("fixed-point weights", numel);
  momentum_ = memory.allocate_array<float>("fixed-point weights, momentum", numel);
  scales_ = memory.allocate_array<float>("fixed-point weights, scales", count);
  scale_momentum_ = memory.allocate_array<float>("fixed-point weights, scale momentum", count);
  values_ = memory.allocate_array<float>("effective weights", numel);
  units_ = memory.allocate_array<float>("effective weights, units", count);
  counts_ = memory.allocate_array<WeightCounts>("fixed-point weights, counts", count);
  for (std::size_t i = 0; i < count; ++i) {
    const ParameterSlot& slot = layout.slots[i];
    tensors_.push_back({.numel = slot.spec.shape.numel(),
                        .weight_offset = slot.offset,
                        .bits = weights[i].bits,
                        .storage = storage_of(slot),
                        .decay = slot.decay});
  }
  upload_array(backend_, table_.as<FixedTensor>(), tensors_);
  scratch_ = memory.allocate("fixed-point weights, scratch", backend_.fixed_scratch_bytes(table()));
  set(stored);
}

void FixedPointWeights::set(const StoredWeights& weights) {
  const std::vector<FixedPoint>& stored = dynamic_cast<const StoredFixedPoint&>(weights).all();
  std::vector<float> scales;
  for (std::size_t i = 0; i < stored.size(); ++i) {
    require(stored[i].bits == tensors_[i].bits, "{} bits in the place of {}", stored[i].bits, tensors_[i].bits);
    scales.push_back(stored[i].scale);
    upload_array(backend_, u_.as<float>() + layout_.slots[i].offset, stored[i].u);
  }
  upload_array(backend_, scales_.as<float>(), scales);
  write_effective();
}

OnDevice<Weights> FixedPointWeights::masters() const {
  return {.spans = {{u_.as<float>(), static_cast<std::size_t>(layout_.numel)}, {scales_.as<float>(), tensors_.size()}},
          .to_host = [tensors = tensors_](HostCopies copies) -> Weights {
            return StoredFixedPoint::with_positive_scales(fixed_points_of(tensors, copies[0], copies[1]));
          }};
}

OnDevice<Weights> FixedPointWeights::momentum() const {
  return {.spans = {{momentum_.as<float>(), static_cast<std::size_t>(layout_.numel)},
                    {scale_momentum_.as<float>(), tensors_.size()},
                    {scales_.as<float>(), tensors_.size()}},
          .to_host = [tensors = tensors_](HostCopies copies) -> Weights {
            std::vector<FixedPoint> momentum = fixed_points_of(tensors, copies[0], copies[1]);
            for (std::size_t slot = 0; slot < momentum.size(); ++slot)
              if (std::signbit(copies[2][slot])) turn(momentum[slot]);  // with its weights
            return std::make_shared<StoredFixedPoint>(std::move(momentum));
          }};
}

std::size_t FixedPointWeights::largest_count() const {
  return static_cast<std::size_t>(layout_.numel) + 2 * padded(layout_.slots.size());
}

std::vector<TensorCounts> FixedPointWeights::count() const {
  backend_.count_fixed(
      {.tensors = table(), .u = u_.as<float>(), .scales = scales_.as<float>(), .counts = counts_.as<WeightCounts>()});
  return tensor_counts(backend_, *this, tensors_, scales_, counts_);
}

TensorView FixedPointWeights::effective(std::size_t slot) const {
  return stored_weights(layout_.slots[slot], values_, units_.as<float>() + slot);
}

void FixedPointWeights::write_effective() {
  backend_.weights_from_fixed({.tensors = table(),
                               .u = u_.as<float>(),
                               .scales = scales_.as<float>(),
                               .weights = values_.as<float>(),
                               .weight_units = units_.as<float>()});
}

void FixedPointWeights::step(const SgdRule& rule, const StepInputs* inputs, StepMetrics* /*metrics*/) {
  backend_.fixed_step({.tensors = table(),
                       .rule = rule,
                       .inputs = inputs,
                       .d_weights = gradients_,
                       .u = u_.as<float>(),
                       .u_momentum = momentum_.as<float>(),
                       .scales = scales_.as<float>(),
                       .scale_momentum = scale_momentum_.as<float>(),
                       .scratch = scratch_.data()});
  write_effective();
}

void FixedPointWeights::reset_momentum() {
  backend_.fill_zero(momentum_.data(), momentum_.size_bytes());
  backend_.fill_zero(scale_momentum_.data(), scale_momentum_.size_bytes());
}

std::int64_t FixedPointWeights::trainable_numbers() const {
  std::int64_t count = 0;
  for (const FixedTensor& tensor : tensors_) count += tensor.bits > 0 ? tensor.numel + 1 : 0;
  return count;
}

void FixedPointWeights::load_momentum(const TensorFile& file) {
  const std::string suffix(kMomentumSuffix);
  std::vector<float> scales;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const ParameterSpec& spec = layout_.slots[i].spec;
    FixedPoint momentum{.bits = tensors_[i].bits,
                        .scale = read_number(file, scale_name(spec.name) + suffix),
                        .u = read_tensor(file, plane_name(spec.name, "u") + suffix, spec)};
    if (turned_.count(i) > 0) turn(momentum);
    upload_array(backend_, momentum_.as<float>() + tensors_[i].weight_offset, momentum.u);
    scales.push_back(momentum.scale);
  }
  upload_array(backend_, scale_momentum_.as<float>(), scales);
}

}  // namespace bsq
