#include "engine/training/lsq_ceilings.h"

#include "engine/input/sampler.h"
#include "engine/network/executor.h"
#include "engine/network/host_numbers.h"
#include "engine/ranks/ranks.h"
#include "engine/training/step_feed.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace bsq {
namespace {

/// The mean of max(z, 0) of a node whose inputs are there.
double mean_activation(Backend& backend, const Model& model, const Executor& executor, int node, int batch) {
  const std::vector<TensorId>& inputs = model.network().nodes()[static_cast<std::size_t>(node)].inputs;
  const ChannelAffine affine = affine_of_node(backend, model.network(), node, model.parameters());
  const TensorView x = executor.tensor(inputs[0], batch);
  const double unit = unit_value(backend, x.unit);
  const std::vector<float> numbers = stored_numbers(backend, x);
  std::vector<float> addends;
  double addend_unit = 0;
  if (inputs.size() == 2) {
    const TensorView addend = executor.tensor(inputs[1], batch);
    addends = stored_numbers(backend, addend);
    addend_unit = unit_value(backend, addend.unit);
  }
  const std::size_t channels = affine.a.size();
  double sum = 0;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const std::size_t c = i % channels;
    const double term = affine.a[c] * unit * double{numbers[i]} + affine.c[c];
    sum += std::max(term + (addends.empty() ? 0.0 : addend_unit * double{addends[i]}), 0.0);
  }
  return sum / static_cast<double>(numbers.size());
}

void set_number(Backend& backend, const Model& model, ParameterId id, float value) {
  upload_array(backend, model.parameters().values[static_cast<std::size_t>(id)].as<float>(), std::vector<float>{value});
}

/// Sets the ceiling of a node, or its step and its offset. Machines round differently: rank 0 says it for all.
void set_quantizer(Backend& backend, const Model& model, const Executor& executor, int node, int batch,
                   Communicator& communicator) {
  const Node& of = model.network().nodes()[static_cast<std::size_t>(node)];
  const OutputQuantizer quantizer = *of.layer->quantizer();
  const double levels = (1 << quantizer.bits) - 1;
  std::array<float, 2> own{};  // ceiling or step, offset
  if (quantizer.offset < 0) {
    own[0] = static_cast<float>(2 * mean_activation(backend, model, executor, node, batch) * std::sqrt(levels));
  } else {
    const std::vector<float> numbers = stored_numbers(backend, executor.tensor(of.inputs[0], batch));
    const auto [least, largest] = std::ranges::minmax(numbers);
    own = {static_cast<float>((double{largest} - double{least}) / levels), least};
  }
  const std::vector<float> found = gather(communicator, std::span<const float>(own));
  if (!(found[0] > 0) || !std::isfinite(found[0])) return;
  set_number(backend, model, quantizer.clip, found[0]);
  if (quantizer.offset >= 0) set_number(backend, model, quantizer.offset, found[1]);
}

}  // namespace

std::vector<ParameterId> missing_ceilings(const Network& network, const TensorFile* file) {
  std::vector<ParameterId> missing;
  for (std::size_t i = 0; i < network.parameters().size(); ++i) {
    const ParameterSpec& parameter = network.parameters()[i];
    const bool is_learned = parameter.role == Role::lsq_clip || parameter.role == Role::quantizer_step;
    if (is_learned && (file == nullptr || file->find(parameter.name) == nullptr))
      missing.push_back(static_cast<ParameterId>(i));
  }
  return missing;
}

void find_ceilings(Backend& backend, Model& model, BatchSource& source, const FirstImages& images,
                   const std::vector<ParameterId>& ceilings, Communicator& communicator) {
  if (ceilings.empty()) return;
  const Range range(backend, "first ceilings");
  DeviceMemory memory(backend);
  const int batch = static_cast<int>(std::min<std::int64_t>({images.count, kMostFirstImages, source.size()}));
  Executor executor(memory, model.network(), model.parameters(), batch, model.dtype(), ExecutionMode::inference);
  const Buffer labels = memory.allocate_array<std::int32_t>("labels", static_cast<std::size_t>(batch));
  StepFeed feed(memory, "first images", 1);
  feed.fill({{.first_sample = 0}});
  source.begin_epoch(epoch_order(source.size(), {images.seed, kCalibrationOrder, 0}));
  feed.count_replay();
  source.stage(0, batch);
  feed.enqueue_take();
  backend.augment({plain_input(images.input), source.rows(), feed.inputs(), batch, executor.images(batch),
                   labels.as<std::int32_t>()});

  const auto& nodes = model.network().nodes();
  const auto set_ceilings_behind = [&](std::size_t done) {
    for (std::size_t node = done + 1; node < nodes.size(); ++node) {
      const std::optional<OutputQuantizer> quantizer = nodes[node].layer->quantizer();
      if (!quantizer || std::ranges::count(ceilings, quantizer->clip) == 0) continue;
      if (std::ranges::max(nodes[node].inputs) != static_cast<TensorId>(done) + 1) continue;
      set_quantizer(backend, model, executor, static_cast<int>(node), batch, communicator);
    }
  };
  executor.forward(batch,
                   {.act_scale = ActScale::batch_max, .rounds_to_ranges = false, .node_done = set_ceilings_behind});
}

}  // namespace bsq
