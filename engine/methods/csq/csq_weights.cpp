#include "engine/methods/csq/csq_weights.h"

#include "engine/model/plane_tensors.h"
#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"

#include <algorithm>

namespace bsq {
namespace {

std::int64_t plane_count(const CsqTensor& tensor) {
  return 2 * tensor.bits * tensor.numel;
}

}  // namespace

double budget_share(const ArenaLayout& layout, const ParameterSlot& slot, CsqCount count) {
  if (count == CsqCount::masks) return 1 / static_cast<double>(layout.slots.size());
  return static_cast<double>(slot.spec.shape.numel()) / static_cast<double>(layout.parameters);
}

CsqWeights::CsqWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                       const StoredCsq& weights, CsqCount count)
    : backend_(memory.backend()), layout_(layout), gradients_(gradients) {
  make_table(weights, count);
  const CsqTensor& last = tensors_.back();
  const auto planes = static_cast<std::size_t>(last.plane_offset + plane_count(last));
  const auto masks = static_cast<std::size_t>(last.first_mask + last.bits);
  const auto numel = static_cast<std::size_t>(layout.numel);
  table_ = memory.allocate_array<CsqTensor>("CSQ weights, table", tensors_.size());
  numbers_ = allocate(memory, "CSQ weights", planes, masks);
  momentum_ = allocate(memory, "CSQ weights, momentum", planes, masks);
  values_ = memory.allocate_array<float>("effective weights", numel);
  if (std::ranges::any_of(layout.slots, [](const ParameterSlot& slot) { return slot.dtype == DType::bf16; }))
    rounded_ = memory.allocate("effective weights, rounded", numel * size_of(DType::bf16));
  budget_ = memory.allocate_array<CsqBudget>("CSQ weights, budget", 1);
  inputs_ = memory.allocate_array<StepInputs>("CSQ weights, gates", 1);
  scratch_ = memory.allocate("CSQ weights, scratch", backend_.csq_scratch_bytes(table()));
  upload_array(backend_, table_.as<CsqTensor>(), tensors_);
  upload(weights);
  reset_momentum();
  set_gates(weights.gates());
}

void CsqWeights::set(const StoredWeights& weights) {
  const auto& stored = dynamic_cast<const StoredCsq&>(weights);
  upload(stored);
  set_gates(stored.gates());
}

void CsqWeights::upload(const StoredCsq& weights) {
  std::vector<float> scales;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const CsqTensorAtRest& tensor = weights.all()[i];
    float* target = numbers_.planes.as<float>() + tensors_[i].plane_offset;
    upload_array(backend_, target, tensor.p);
    upload_array(backend_, target + tensor.p.size(), tensor.n);
    upload_array(backend_, numbers_.masks.as<float>() + tensors_[i].first_mask, tensor.mask);
    scales.push_back(tensor.scale);
  }
  upload_array(backend_, numbers_.scales.as<float>(), scales);
}

void CsqWeights::make_table(const StoredCsq& weights, CsqCount count) {
  require(weights.size() == layout_.slots.size(), "{} tensors for {} slots", weights.size(), layout_.slots.size());
  const auto tensors = static_cast<double>(layout_.slots.size());
  CsqTensor next;
  for (std::size_t i = 0; i < layout_.slots.size(); ++i) {
    const ParameterSlot& slot = layout_.slots[i];
    next.numel = slot.spec.shape.numel();
    next.weight_offset = slot.offset;
    next.bits = weights.all()[i].bits;
    next.masked = !slot.spec.widths.fixed;
    next.decay = slot.decay;
    const double share = budget_share(layout_, slot, count);
    next.share = static_cast<float>(share);
    next.pull = next.masked ? static_cast<float>(share * tensors / next.bits) : 0.0F;
    tensors_.push_back(next);
    next.plane_offset += static_cast<std::int64_t>(padded(static_cast<std::size_t>(plane_count(next))));
    next.first_mask += next.bits;
  }
}

CsqWeights::Arenas CsqWeights::allocate(DeviceMemory& memory, const std::string& name, std::size_t planes,
                                        std::size_t masks) const {
  return {memory.allocate_array<float>(name + ", planes", planes),
          memory.allocate_array<float>(name + ", scales", tensors_.size()),
          memory.allocate_array<float>(name + ", masks", masks)};
}

void CsqWeights::set_gates(const CsqGates& gates) {
  gates_ = gates;
  const CsqNumbers numbers{gates.temperature, gates.hardness, strength_, target_};
  upload_array(backend_, inputs_.as<StepInputs>(), std::vector<StepInputs>{{.method = numbers.to_method()}});
  write_effective(inputs_.as<StepInputs>());
}

CsqWeights::Settled CsqWeights::settle(double target, CsqCount count) {
  std::vector<TensorMasks> masks;
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    masks.push_back({.masks = download_array(backend_, numbers_.masks.as<float>() + tensors_[i].first_mask,
                                             static_cast<std::size_t>(tensors_[i].bits)),
                     .share = budget_share(layout_, layout_.slots[i], count),
                     .fixed = !tensors_[i].masked});
  Settled result{.before = average_bits(masks)};
  result.switched = settle_masks(masks, target);
  result.after = average_bits(masks);
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    upload_array(backend_, numbers_.masks.as<float>() + tensors_[i].first_mask, masks[i].masks);
  set_gates(gates_);
  return result;
}

void CsqWeights::write_effective(const StepInputs* inputs) {
  backend_.weights_from_csq({.tensors = table(),
                             .inputs = inputs,
                             .planes = numbers_.planes.as<float>(),
                             .scales = numbers_.scales.as<float>(),
                             .masks = numbers_.masks.as<float>(),
                             .weights = values_.as<float>(),
                             .budget = budget_.as<CsqBudget>()});
  if (rounded_.data() != nullptr) backend_.round_to_bf16({layout_.numel, values_.as<float>(), rounded_.data()});
}

TensorView CsqWeights::effective(std::size_t slot) const {
  const auto& [spec, offset, dtype, decay, bit_operations] = layout_.slots[slot];
  if (dtype == DType::f32) return {dtype, spec.shape, values_.as<float>() + offset};
  return {dtype, spec.shape, rounded_.as<std::byte>() + static_cast<std::size_t>(offset) * size_of(dtype)};
}

void CsqWeights::step(const SgdRule& rule, const StepInputs* inputs, StepMetrics* metrics) {
  backend_.csq_step({.tensors = table(),
                     .rule = rule,
                     .inputs = inputs,
                     .d_weights = gradients_,
                     .budget = budget_.as<CsqBudget>(),
                     .planes = numbers_.planes.as<float>(),
                     .plane_momentum = momentum_.planes.as<float>(),
                     .scales = numbers_.scales.as<float>(),
                     .scale_momentum = momentum_.scales.as<float>(),
                     .masks = numbers_.masks.as<float>(),
                     .mask_momentum = momentum_.masks.as<float>(),
                     .metrics = metrics,
                     .scratch = scratch_.data()});
  write_effective(inputs);
}

void CsqWeights::reset_momentum() {
  for (const Buffer* buffer : {&momentum_.planes, &momentum_.scales, &momentum_.masks})
    backend_.fill_zero(buffer->data(), buffer->size_bytes());
}

OnDevice<Weights> CsqWeights::on_device(const Arenas& arenas, const CsqGates& gates) const {
  OnDevice<Weights> result;
  for (const CsqTensor& tensor : tensors_) {
    const auto half = static_cast<std::size_t>(tensor.bits * tensor.numel);
    const float* p = arenas.planes.as<float>() + tensor.plane_offset;
    result.spans.push_back({p, half});
    result.spans.push_back({p + half, half});
  }
  const CsqTensor& last = tensors_.back();
  result.spans.push_back({arenas.scales.as<float>(), tensors_.size()});
  // Those of all tensors in one: an average reads vectors from where a span begins.
  result.spans.push_back({arenas.masks.as<float>(), static_cast<std::size_t>(last.first_mask + last.bits)});
  result.to_host = [tensors = tensors_, gates](HostCopies copies) -> Weights {
    std::vector<CsqTensorAtRest> weights;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const auto mask = copies.back().begin() + tensors[i].first_mask;
      weights.push_back({.bits = tensors[i].bits,
                         .scale = copies[copies.size() - 2][i],
                         .p = std::move(copies[2 * i]),
                         .n = std::move(copies[2 * i + 1]),
                         .mask = {mask, mask + tensors[i].bits},
                         .fixed = !tensors[i].masked});
    }
    return std::make_shared<StoredCsq>(std::move(weights), gates);
  };
  return result;
}

OnDevice<Weights> CsqWeights::masters() const {
  return on_device(numbers_, gates_);
}

OnDevice<Weights> CsqWeights::momentum() const {
  return on_device(momentum_, {});
}

std::size_t CsqWeights::largest_count() const {
  std::size_t count = padded(tensors_.size());
  for (const CsqTensor& tensor : tensors_)
    count += 2 * padded(static_cast<std::size_t>(tensor.bits * tensor.numel)) +
             padded(static_cast<std::size_t>(tensor.bits));
  return count;
}

std::vector<TensorCounts> CsqWeights::count() const {
  const Weights weights = download(backend_, masters());
  const auto& stored = dynamic_cast<const StoredCsq&>(*weights);
  std::vector<TensorCounts> counts;
  for (std::size_t slot = 0; slot < tensors_.size(); ++slot) {
    // Zeros are looked for in what the device has made: exponentials of all planes take the host too long.
    const std::vector<float> values = download_array(backend_, values_.as<float>() + tensors_[slot].weight_offset,
                                                     static_cast<std::size_t>(tensors_[slot].numel));
    counts.push_back(stored.count(slot, std::count(values.begin(), values.end(), 0.0F)));
  }
  return counts;
}

std::int64_t CsqWeights::trainable_numbers() const {
  std::int64_t count = 0;
  for (const CsqTensor& tensor : tensors_) count += plane_count(tensor) + 1 + (tensor.masked ? tensor.bits : 0);
  return count;
}

void CsqWeights::load_momentum(const TensorFile& file) {
  const std::string suffix(kMomentumSuffix);
  std::vector<float> scales;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const CsqTensor& tensor = tensors_[i];
    const ParameterSpec& spec = layout_.slots[i].spec;
    const std::vector<std::string> names = StoredCsq::tensor_names(spec.name);
    float* target = momentum_.planes.as<float>() + tensor.plane_offset;
    upload_array(backend_, target, read_planes(file, names[0] + suffix, spec, tensor.bits));
    upload_array(backend_, target + tensor.bits * tensor.numel,
                 read_planes(file, names[1] + suffix, spec, tensor.bits));
    scales.push_back(read_number(file, names[2] + suffix));
    const HostTensor& mask = file.at(names[3] + suffix);
    if (mask.numel() != tensor.bits)
      fail(ErrorKind::checkpoint, "{}: {} has {} numbers for {} planes", file.path.string(), mask.name, mask.numel(),
           tensor.bits);
    const auto m = mask.values<float>();
    upload_array(backend_, momentum_.masks.as<float>() + tensor.first_mask, std::vector<float>(m.begin(), m.end()));
  }
  upload_array(backend_, momentum_.scales.as<float>(), scales);
}

}  // namespace bsq
