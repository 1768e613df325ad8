#include "engine/training/weight_average.h"

#include "engine/files/json.h"
#include "engine/methods/weight_forms.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <functional>
#include <set>

namespace bsq {
namespace {

constexpr const char* kTurned = "turned";                  // of the metadata
constexpr std::size_t kAsideBytes = std::size_t{4} << 20;  // large enough that copies are few

/// Whether a part of the running statistics is averaged: what calibration finds belongs to the weights it was found
/// with.
bool is_averaged(const StateSpec& state) {
  return state.role != Role::act_scale && state.role != Role::value_range;
}

}  // namespace

WeightAverage::WeightAverage(DeviceMemory& memory, Model& model, double decay)
    : backend_(memory.backend()), model_(model), weight_(static_cast<float>(1 - decay)) {
  const std::size_t most = model.on_device(StateScope::model).spans.size() + model.network().states().size();
  const std::size_t bytes = model.largest_state_bytes(StateScope::model);
  table_ = memory.allocate_array<AveragedTensor>("average of the weights, table", most);
  averages_ = memory.allocate("average of the weights", bytes);
  aside_ = memory.allocate("average of the weights, change of places", std::min(bytes, kAsideBytes));
  restart();
}

void WeightAverage::restart() {
  runs_.clear();
  tensors_.clear();
  const std::vector<DeviceSpan> spans = model_.on_device(StateScope::model).spans;
  for (const DeviceSpan& span : spans) {
    if (!runs_.empty() && runs_.back().of_model.data + runs_.back().of_model.count == span.data)
      runs_.back().of_model.count += span.count;  // such as p and n of a tensor
    else
      runs_.push_back({span, 0});
  }
  std::size_t offset = 0;
  for (Run& run : runs_) {
    run.offset = offset;
    offset += padded(run.of_model.count);
    require(offset * sizeof(float) <= averages_.size_bytes(), "an average of more than the {} bytes planned for it",
            averages_.size_bytes());
    backend_.copy(averages_.as<float>() + run.offset, run.of_model.data, run.of_model.size_bytes());
  }
  const auto add = [&](const float* values, std::size_t count) {
    const std::int64_t place = place_of({values, count}) - averages_.as<float>();
    tensors_.push_back({static_cast<std::int64_t>(count), place, values});
  };
  for (const Run& run : runs_)
    if (run.of_model.data != model_.states().data()) add(run.of_model.data, run.of_model.count);
  const std::vector<StateSpec>& states = model_.network().states();
  for (std::size_t i = 0; i < states.size(); ++i)
    if (is_averaged(states[i])) add(model_.parameters().states[i], static_cast<std::size_t>(states[i].numel));
  upload_array(backend_, table_.as<AveragedTensor>(), tensors_);
}

float* WeightAverage::place_of(const DeviceSpan& span) const {
  for (const Run& run : runs_) {
    const std::less_equal<> not_behind;
    if (not_behind(run.of_model.data, span.data) &&
        not_behind(span.data + span.count, run.of_model.data + run.of_model.count))
      return averages_.as<float>() + run.offset + (span.data - run.of_model.data);
  }
  fail(ErrorKind::internal, "numbers of a model that have no average");
}

void WeightAverage::enqueue() {
  backend_.update_average({{tensors_, table_.as<AveragedTensor>()}, weight_, averages_.as<float>()});
}

void WeightAverage::exchange() {
  const std::size_t piece = aside_.size_bytes() / sizeof(float);
  for (const Run& run : runs_) {
    for (std::size_t at = 0; at < run.of_model.count; at += piece) {
      const std::size_t count = std::min(piece, run.of_model.count - at), bytes = count * sizeof(float);
      float* average = averages_.as<float>() + run.offset + at;
      backend_.copy(aside_.data(), run.of_model.data + at, bytes);
      model_.overwrite({run.of_model.data + at, count}, average);
      backend_.copy(average, aside_.data(), bytes);
    }
  }
  model_.write_effective();
}

OnDevice<ModelState> WeightAverage::on_device() const {
  OnDevice<ModelState> state = model_.on_device(StateScope::model);
  for (DeviceSpan& span : state.spans) span.data = place_of(span);
  return state;
}

void WeightAverage::load(const TensorFile& file, int max_bits) {
  Weights weights = read_weights(file, model_.quantized_layout(), max_bits);
  std::set<std::size_t> turned;
  if (const auto found = file.metadata.find(kTurned); found != file.metadata.end()) {
    const nlohmann::json names = parse_json_or_discard(found->second);
    const auto& slots = model_.quantized_layout().slots;
    for (std::size_t slot = 0; slot < slots.size(); ++slot)
      if (std::find(names.begin(), names.end(), slots[slot].spec.name) != names.end()) turned.insert(slot);
  }
  if (!turned.empty()) weights = weights->with_turned(turned);
  model_.quantized().set(*weights);
  model_.load_plain(file);
  exchange();  // until now the average was what the model goes on from
}

TensorFile average_to_file(const Model& model, const ModelState& average, const ModelState& trained, ModelCard card) {
  TensorFile file = model.save(average, std::move(card));
  nlohmann::json names = nlohmann::json::array();
  const auto& slots = model.quantized_layout().slots;
  for (std::size_t slot = 0; slot < slots.size(); ++slot)
    if (average.weights->turned().contains(slot) != trained.weights->turned().contains(slot))
      names.push_back(slots[slot].spec.name);
  if (!names.empty()) file.metadata[kTurned] = names.dump();
  return file;
}

}  // namespace bsq
