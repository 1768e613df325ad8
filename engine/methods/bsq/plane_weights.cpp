#include "engine/methods/bsq/plane_weights.h"

#include "engine/model/plane_tensors.h"
#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"

#include <cmath>

namespace bsq {
namespace {

/// Floats of all planes of a tensor at its widest, in the arena.
std::size_t capacity_of(const ParameterSlot& slot, int most_bits) {
  return 2 * static_cast<std::size_t>(most_bits) * padded(static_cast<std::size_t>(slot.spec.shape.numel()));
}

/// `copies`: p and n of every tensor.
std::vector<BitPlanes> planes_of(const std::vector<PlaneTensor>& tensors, const std::vector<float>& scales,
                                 HostCopies& copies) {
  std::vector<BitPlanes> planes;
  for (std::size_t i = 0; i < tensors.size(); ++i)
    planes.push_back({.bits = tensors[i].bits,
                      .scale = scales[i],
                      .numel = tensors[i].numel,
                      .p = std::move(copies[2 * i]),
                      .n = std::move(copies[2 * i + 1])});
  return planes;
}

}  // namespace

PlaneWeights::PlaneWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                           const StoredPlanes& weights, int max_bits, PenaltyCost cost)
    : backend_(memory.backend()),
      layout_(layout),
      gradients_(gradients),
      most_bits_(bsq::most_bits(layout, max_bits)),
      cost_(cost),
      turned_(weights.turned()) {
  const std::size_t count = layout.slots.size();
  std::size_t capacity = 0, norms = 0;
  for (std::size_t i = 0; i < count; ++i) {
    capacity += capacity_of(layout.slots[i], most_bits_[i]);
    norms += static_cast<std::size_t>(most_bits_[i]);
  }
  table_ = memory.allocate_array<PlaneTensor>("bit planes, table", count);
  planes_ = memory.allocate_array<float>("bit planes", capacity);
  momentum_ = memory.allocate_array<float>("bit planes, momentum", capacity);
  scales_ = memory.allocate_array<float>("bit planes, scales", count);
  scale_momentum_ = memory.allocate_array<float>("bit planes, scale momentum", count);
  norms_ = memory.allocate_array<float>("bit planes, norms", norms);
  values_ = memory.allocate_array<float>("effective weights", static_cast<std::size_t>(layout.numel));
  units_ = memory.allocate_array<float>("effective weights, units", count);
  penalty_ = memory.allocate_array<double>("bit planes, penalty", 1);
  counts_ = memory.allocate_array<WeightCounts>("bit planes, counts", count);
  for (const ParameterSlot& slot : layout.slots) tensors_.push_back({.numel = slot.spec.shape.numel()});
  scratch_ = memory.allocate("bit planes, scratch", backend_.planes_scratch_bytes(table()));
  set_planes(weights.all());
}

double PlaneWeights::cost_share(const ParameterSlot& slot, int bits) const {
  if (cost_ == PenaltyCost::weights)
    return static_cast<double>(slot.spec.shape.numel() * bits) / static_cast<double>(layout_.parameters);
  double of_all = 0;
  for (const ParameterSlot& other : layout_.slots) of_all += other.bit_operations;
  require(of_all > 0, "a penalty by bit operations, and no layer multiplies");
  return slot.bit_operations * bits / of_all;
}

void PlaneWeights::set(const StoredWeights& weights) {
  upload(dynamic_cast<const StoredPlanes&>(weights).all());
}

void PlaneWeights::set_planes(const std::vector<BitPlanes>& planes) {
  upload(planes);
  reset_momentum();
}

void PlaneWeights::upload(const std::vector<BitPlanes>& planes) {
  require(planes.size() == layout_.slots.size(), "{} plane tensors for {} slots", planes.size(), layout_.slots.size());
  tensors_.clear();
  std::vector<float> arena(planes_.size_bytes() / sizeof(float));
  std::vector<float> scales;
  std::int32_t first_plane = 0;
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < planes.size(); ++i) {
    const ParameterSlot& slot = layout_.slots[i];
    const BitPlanes& source = planes[i];
    require(source.bits >= 1 && source.bits <= most_bits_[i], "{}: {} bits", slot.spec.name, source.bits);
    require(source.numel == slot.spec.shape.numel(), "{}: {} weights", slot.spec.name, source.numel);
    const double penalty_weight = slot.spec.widths.fixed ? 0.0 : cost_share(slot, source.bits);
    tensors_.push_back({.numel = source.numel,
                        .plane_offset = offset,
                        .weight_offset = slot.offset,
                        .bits = source.bits,
                        .storage = storage_of(slot),
                        .decay = slot.decay,
                        .first_plane = first_plane,
                        .penalty_weight = static_cast<float>(penalty_weight)});
    first_plane += source.bits;
    scales.push_back(source.scale);
    std::copy(source.p.begin(), source.p.end(), arena.begin() + offset);
    std::copy(source.n.begin(), source.n.end(), arena.begin() + offset + source.bits * source.numel);
    offset += static_cast<std::int64_t>(capacity_of(slot, most_bits_[i]));
  }
  upload_array(backend_, table_.as<PlaneTensor>(), tensors_);
  upload_array(backend_, planes_.as<float>(), arena);
  upload_array(backend_, scales_.as<float>(), scales);
  write_effective();
}

std::vector<DeviceSpan> PlaneWeights::spans_of(const Buffer& arena) const {
  std::vector<DeviceSpan> spans;
  for (const PlaneTensor& tensor : tensors_) {
    const auto half = static_cast<std::size_t>(tensor.bits * tensor.numel);
    const float* p = arena.as<float>() + tensor.plane_offset;
    spans.push_back({p, half});
    spans.push_back({p + half, half});
  }
  return spans;
}

OnDevice<Weights> PlaneWeights::masters() const {
  OnDevice<Weights> result{.spans = spans_of(planes_), .to_host = {}};
  result.spans.push_back({scales_.as<float>(), tensors_.size()});
  result.to_host = [tensors = tensors_](HostCopies copies) -> Weights {
    const std::vector<float> scales = std::move(copies.back());
    return StoredPlanes::with_positive_scales(planes_of(tensors, scales, copies));
  };
  return result;
}

OnDevice<Weights> PlaneWeights::momentum() const {
  OnDevice<Weights> result{.spans = spans_of(momentum_), .to_host = {}};
  result.spans.push_back({scale_momentum_.as<float>(), tensors_.size()});
  result.spans.push_back({scales_.as<float>(), tensors_.size()});
  result.to_host = [tensors = tensors_](HostCopies copies) -> Weights {
    const std::vector<float> scales = std::move(copies.back());
    copies.pop_back();
    const std::vector<float> scale_momentum = std::move(copies.back());
    std::vector<BitPlanes> momentum = planes_of(tensors, scale_momentum, copies);
    for (std::size_t slot = 0; slot < scales.size(); ++slot)
      if (std::signbit(scales[slot])) turn(momentum[slot]);  // with its planes
    return std::make_shared<StoredPlanes>(std::move(momentum));
  };
  return result;
}

std::size_t PlaneWeights::largest_count() const {
  return planes_.size_bytes() / sizeof(float) + 2 * padded(layout_.slots.size());
}

std::vector<BitPlanes> PlaneWeights::planes() const {
  return dynamic_cast<const StoredPlanes&>(*download(backend_, masters())).all();
}

std::vector<TensorCounts> PlaneWeights::count() const {
  backend_.count_planes({.tensors = table(),
                         .planes = planes_.as<float>(),
                         .scales = scales_.as<float>(),
                         .counts = counts_.as<WeightCounts>()});
  return tensor_counts(backend_, *this, tensors_, scales_, counts_);
}

TensorView PlaneWeights::effective(std::size_t slot) const {
  return stored_weights(layout_.slots[slot], values_, units_.as<float>() + slot);
}

void PlaneWeights::write_effective() {
  backend_.weights_from_planes({.tensors = table(),
                                .planes = planes_.as<float>(),
                                .scales = scales_.as<float>(),
                                .weights = values_.as<float>(),
                                .weight_units = units_.as<float>(),
                                .plane_norms = norms_.as<float>(),
                                .penalty = penalty_.as<double>(),
                                .scratch = scratch_.data()});
}

void PlaneWeights::step(const SgdRule& rule, const StepInputs* inputs, StepMetrics* metrics) {
  backend_.planes_step({.tensors = table(),
                        .rule = rule,
                        .inputs = inputs,
                        .d_weights = gradients_,
                        .planes = planes_.as<float>(),
                        .plane_momentum = momentum_.as<float>(),
                        .scales = scales_.as<float>(),
                        .scale_momentum = scale_momentum_.as<float>(),
                        .weights = values_.as<float>(),
                        .weight_units = units_.as<float>(),
                        .plane_norms = norms_.as<float>(),
                        .penalty = penalty_.as<double>(),
                        .metrics = metrics,
                        .scratch = scratch_.data()});
}

void PlaneWeights::reset_momentum() {
  backend_.fill_zero(momentum_.data(), momentum_.size_bytes());
  backend_.fill_zero(scale_momentum_.data(), scale_momentum_.size_bytes());
}

std::int64_t PlaneWeights::trainable_numbers() const {
  std::int64_t count = 0;
  for (const PlaneTensor& tensor : tensors_) count += 2 * tensor.bits * tensor.numel + 1;
  return count;
}

void PlaneWeights::load_momentum(const TensorFile& file) {
  const std::string suffix(kMomentumSuffix);
  std::vector<float> scales;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const PlaneTensor& tensor = tensors_[i];
    const ParameterSpec& spec = layout_.slots[i].spec;
    BitPlanes momentum{.bits = tensor.bits,
                       .scale = read_number(file, scale_name(spec.name) + suffix),
                       .numel = tensor.numel,
                       .p = read_planes(file, plane_name(spec.name, "p") + suffix, spec, tensor.bits),
                       .n = read_planes(file, plane_name(spec.name, "n") + suffix, spec, tensor.bits)};
    if (turned_.count(i) > 0) turn(momentum);
    float* target = momentum_.as<float>() + tensor.plane_offset;
    upload_array(backend_, target, momentum.p);
    upload_array(backend_, target + tensor.bits * tensor.numel, momentum.n);
    scales.push_back(momentum.scale);
  }
  upload_array(backend_, scale_momentum_.as<float>(), scales);
}

}  // namespace bsq
