#include "engine/methods/bsq/plane_weights.h"

#include "kernels/base/error.h"

namespace bsq {
namespace {

/// Planes [bits][numel] in memory order -> [O, I, K, K, bits] of a file.
HostTensor planes_to_file(const std::vector<float>& planes, const ParameterSpec& spec, int bits,
                          const std::string& name) {
  std::vector<std::int64_t> shape = file_shape(spec.shape);
  shape.push_back(bits);
  HostTensor tensor{name, DType::f32, std::move(shape), std::vector<std::byte>(planes.size() * sizeof(float))};
  auto* interleaved = reinterpret_cast<float*>(tensor.bytes.data());
  const std::vector<std::size_t> places = file_places(spec.shape);
  for (std::size_t i = 0; i < places.size(); ++i) {
    float* place = interleaved + places[i] * static_cast<std::size_t>(bits);
    for (int bit = 0; bit < bits; ++bit) place[bit] = planes[static_cast<std::size_t>(bit) * places.size() + i];
  }
  return tensor;
}

std::vector<float> planes_from_file(const TensorFile& file, const std::string& name, const ParameterSpec& spec,
                                    int bits) {
  const HostTensor& tensor = file.at(name);
  check_shape(file, tensor, spec, {bits});
  const auto interleaved = tensor.values<float>();
  const auto numel = static_cast<std::size_t>(spec.shape.numel());
  std::vector<float> planes;
  planes.reserve(interleaved.size());
  for (int bit = 0; bit < bits; ++bit) {
    std::vector<float> plane(numel);
    for (std::size_t i = 0; i < numel; ++i) plane[i] = interleaved[i * static_cast<std::size_t>(bits) + bit];
    const std::vector<float> in_memory = from_file_layout(plane, spec.shape);
    planes.insert(planes.end(), in_memory.begin(), in_memory.end());
  }
  return planes;
}

}  // namespace

PlaneWeights::PlaneWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                           const PlaneOptions& options, const std::vector<BitPlanes>& planes)
    : backend_(memory.backend()), layout_(layout), gradients_(gradients), options_(options) {
  const std::size_t count = layout.slots.size();
  const auto capacity = static_cast<std::size_t>(2 * options.max_bits * layout.numel);
  table_ = memory.allocate_array<PlaneTensor>("bit planes, table", count);
  planes_ = memory.allocate_array<float>("bit planes", capacity);
  momentum_ = memory.allocate_array<float>("bit planes, momentum", capacity);
  scales_ = memory.allocate_array<float>("bit planes, scales", count);
  scale_momentum_ = memory.allocate_array<float>("bit planes, scale momentum", count);
  norms_ = memory.allocate_array<float>("bit planes, norms", count * static_cast<std::size_t>(options.max_bits));
  values_ = memory.allocate_array<float>("effective weights", static_cast<std::size_t>(layout.numel));
  units_ = memory.allocate_array<float>("effective weights, units", count);
  penalty_ = memory.allocate_array<double>("bit planes, penalty", 1);
  counts_ = memory.allocate_array<WeightCounts>("bit planes, counts", count);
  for (const ParameterSlot& slot : layout.slots) tensors_.push_back({.numel = slot.spec.shape.numel()});
  scratch_ = memory.allocate("bit planes, scratch", backend_.planes_scratch_bytes(table()));
  set_planes(planes);
}

void PlaneWeights::set_planes(const std::vector<BitPlanes>& planes) {
  require(planes.size() == layout_.slots.size(), "{} plane tensors for {} slots", planes.size(), layout_.slots.size());
  tensors_.clear();
  std::vector<float> arena(planes_.size_bytes() / sizeof(float));
  std::vector<float> scales;
  std::int32_t first_plane = 0;
  for (std::size_t i = 0; i < planes.size(); ++i) {
    const ParameterSlot& slot = layout_.slots[i];
    const BitPlanes& source = planes[i];
    require(source.bits >= 1 && source.bits <= options_.max_bits, "{}: {} bits", slot.spec.name, source.bits);
    require(source.numel == slot.spec.shape.numel(), "{}: {} weights", slot.spec.name, source.numel);
    const std::int64_t offset = 2 * options_.max_bits * slot.offset;
    tensors_.push_back({.numel = source.numel,
                        .plane_offset = offset,
                        .weight_offset = slot.offset,
                        .bits = source.bits,
                        .storage = storage_of(slot),
                        .first_plane = first_plane,
                        .penalty_weight = static_cast<float>(static_cast<double>(source.numel * source.bits) /
                                                             static_cast<double>(layout_.parameters))});
    first_plane += source.bits;
    scales.push_back(source.scale);
    std::copy(source.p.begin(), source.p.end(), arena.begin() + offset);
    std::copy(source.n.begin(), source.n.end(), arena.begin() + offset + source.bits * source.numel);
  }
  upload_array(backend_, table_.as<PlaneTensor>(), tensors_);
  upload_array(backend_, planes_.as<float>(), arena);
  upload_array(backend_, scales_.as<float>(), scales);
  write_effective();
  reset_momentum();
}

OnDevice<HostWeights> PlaneWeights::on_device(const Buffer& arena, const Buffer& scales) const {
  OnDevice<HostWeights> result;
  for (const PlaneTensor& tensor : tensors_) {
    const auto half = static_cast<std::size_t>(tensor.bits * tensor.numel);
    const float* p = arena.as<float>() + tensor.plane_offset;
    result.spans.push_back({p, half});
    result.spans.push_back({p + half, half});
  }
  result.spans.push_back({scales.as<float>(), tensors_.size()});
  result.to_host = [tensors = tensors_](HostCopies copies) {
    std::vector<BitPlanes> planes;
    for (std::size_t i = 0; i < tensors.size(); ++i)
      planes.push_back({.bits = tensors[i].bits,
                        .scale = copies.back()[i],
                        .numel = tensors[i].numel,
                        .p = std::move(copies[2 * i]),
                        .n = std::move(copies[2 * i + 1])});
    return HostWeights(std::move(planes));
  };
  return result;
}

OnDevice<HostWeights> PlaneWeights::masters() const {
  return on_device(planes_, scales_);
}

OnDevice<HostWeights> PlaneWeights::momentum() const {
  return on_device(momentum_, scale_momentum_);
}

std::size_t PlaneWeights::largest_count() const {
  return planes_.size_bytes() / sizeof(float) + padded(layout_.slots.size());
}

std::vector<BitPlanes> PlaneWeights::planes() const {
  return std::get<std::vector<BitPlanes>>(download(backend_, masters()));
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
  std::vector<float> scales;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const PlaneTensor& tensor = tensors_[i];
    const ParameterSpec& spec = layout_.slots[i].spec;
    float* target = momentum_.as<float>() + tensor.plane_offset;
    const std::string suffix(kMomentumSuffix);
    upload_array(backend_, target, planes_from_file(file, plane_name(spec.name, "p") + suffix, spec, tensor.bits));
    upload_array(backend_, target + tensor.bits * tensor.numel,
                 planes_from_file(file, plane_name(spec.name, "n") + suffix, spec, tensor.bits));
    scales.push_back(load_number(file, scale_name(spec.name) + suffix));
  }
  upload_array(backend_, scale_momentum_.as<float>(), scales);
}

std::vector<BitPlanes> PlaneWeights::load(const TensorFile& file, const ArenaLayout& layout, int max_bits) {
  std::vector<BitPlanes> result;
  for (const ParameterSlot& slot : layout.slots) {
    const std::string name = plane_name(slot.spec.name, "p");
    const HostTensor& positive = file.at(name);
    const std::int64_t bits = positive.shape.empty() ? 0 : positive.shape.back();
    if (bits < 1 || bits > max_bits)
      fail(ErrorKind::checkpoint, "{}: {} has {} bit planes, expected 1..{}; is quant.max_bits too small?",
           file.path.string(), name, bits, max_bits);
    const int width = static_cast<int>(bits);
    result.push_back({.bits = width,
                      .scale = load_number(file, scale_name(slot.spec.name)),
                      .numel = slot.spec.shape.numel(),
                      .p = planes_from_file(file, name, slot.spec, width),
                      .n = planes_from_file(file, plane_name(slot.spec.name, "n"), slot.spec, width)});
  }
  return result;
}

std::vector<HostTensor> planes_to_tensors(const std::vector<BitPlanes>& planes, const ArenaLayout& layout,
                                          std::string_view suffix) {
  const auto named = [&](const std::string& name) { return name + std::string(suffix); };
  std::vector<HostTensor> tensors;
  for (std::size_t i = 0; i < planes.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    tensors.push_back(planes_to_file(planes[i].p, spec, planes[i].bits, named(plane_name(spec.name, "p"))));
    tensors.push_back(planes_to_file(planes[i].n, spec, planes[i].bits, named(plane_name(spec.name, "n"))));
    tensors.push_back(HostTensor::from<float>(named(scale_name(spec.name)), {1}, std::span(&planes[i].scale, 1)));
  }
  return tensors;
}

}  // namespace bsq
