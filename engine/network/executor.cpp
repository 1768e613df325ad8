// Lifetimes: forward of node i happens at time i, its backward at 2 N - i (N nodes; the loss sits at N). A guest runs
// before time 0.
#include "engine/network/executor.h"

#include "engine/network/tensor_owners.h"
#include "kernels/base/error.h"

#include <algorithm>

namespace bsq {
namespace {

/// Parts of wider pixels reach nobody who would read them as if they were whole.
void require_dense(const Node& node, std::span<const TensorView> inputs, const TensorView& output) {
  for (std::size_t k = 0; k < inputs.size(); ++k)
    require(inputs[k].pitch == 0 || node.layer->takes_pitch(k), "{}: input {} is a part of wider pixels", node.name, k);
  require(output.pitch == 0 || node.layer->extends_first_input(), "{}: writes a part of wider pixels", node.name);
}

}  // namespace

Executor::Executor(DeviceMemory& memory, const Network& network, const ParameterMemory& parameters, int max_batch,
                   DType dtype, ExecutionMode mode, const std::vector<int>& other_batches, Executor* guest)
    : network_(network),
      parameters_(parameters),
      backend_(memory.backend()),
      max_batch_(max_batch),
      mode_(mode),
      tensors_(network.tensors(max_batch, dtype)),
      owners_(tensor_owners(network, mode == ExecutionMode::training)),
      norm_pairs_(find_norm_pairs(network, owners_)),
      gradient_parts_(memory.backend()) {
  const std::vector<std::vector<ConvGeometry>> convolutions = plan_convolutions(other_batches, dtype);
  plan_tensors();
  plan_gradients();
  for (const int batch : other_batches) plan_scratch(batch, dtype);
  const std::string what = mode == ExecutionMode::training ? "training"
                           : mode == ExecutionMode::guest  ? "guest of training"
                                                           : "evaluation";
  unit_values_ = memory.allocate_array<float>("units of activations, " + what, tensors_.size());
  if (mode == ExecutionMode::guest) return;  // its host has the rest
  if (guest != nullptr) invite(*guest);
  plan_.arena_bytes = plan_memory(plan_.buffers);
  arena_ = memory.allocate("activations and gradients, " + what, plan_.arena_bytes);
  scratch_ = memory.allocate("scratch, " + what, plan_.scratch_bytes);
  arena_place_ = arena_.as<std::byte>();
  scratch_place_ = scratch_.data();
  if (mode == ExecutionMode::training) gradient_parts_.allocate(memory, convolutions);
  resolve_units();
  if (guest != nullptr) settle(*guest);
}

void Executor::invite(const Executor& guest) {
  require(guest.mode_ == ExecutionMode::guest && guest.max_batch_ == max_batch_, "a guest that was made for others");
  const TensorSpec &own = tensors_[0], &theirs = guest.tensors_[0];
  require(own.dtype == theirs.dtype && own.shape == theirs.shape, "a guest that reads other images");
  const int before = -static_cast<int>(guest.network_.nodes().size()) - 1;  // its own times, from here on
  const int images = guest.tensor_buffer_.front(), logits = guest.tensor_buffer_.back();
  require(images != logits, "a guest without nodes");
  plan_.buffers[static_cast<std::size_t>(tensor_buffer_[0])].first_use = before;
  for (std::size_t i = 0; i < guest.plan_.buffers.size(); ++i) {
    if (static_cast<int>(i) == images) continue;
    PlannedBuffer buffer = guest.plan_.buffers[i];
    buffer.name += ", guest";
    buffer.first_use += before;
    buffer.last_use += before;
    if (static_cast<int>(i) == logits) buffer.last_use = static_cast<int>(network_.nodes().size());  // for the loss
    plan_.buffers.push_back(std::move(buffer));
  }
  plan_.scratch_bytes = std::max(plan_.scratch_bytes, guest.plan_.scratch_bytes);
}

void Executor::settle(Executor& guest) const {
  std::vector<PlannedBuffer>& theirs = guest.plan_.buffers;
  std::size_t next = plan_.buffers.size() - (theirs.size() - 1);  // they are the last ones, without the images
  for (std::size_t i = 0; i < theirs.size(); ++i) {
    const bool are_images = static_cast<int>(i) == guest.tensor_buffer_.front();
    theirs[i].offset = plan_.buffers[are_images ? static_cast<std::size_t>(tensor_buffer_[0]) : next++].offset;
  }
  guest.arena_place_ = arena_place_;
  guest.scratch_place_ = scratch_place_;
  guest.resolve_units();
}

LayerUse Executor::use_of(const Node& node) const {
  const bool training = mode_ == ExecutionMode::training;
  const bool reads_images = std::ranges::find(node.inputs, 0) != node.inputs.end();  // images need no gradient
  return {.backward = training, .input_gradients = training && !reads_images};
}

std::vector<std::vector<ConvGeometry>> Executor::plan_convolutions(const std::vector<int>& other_batches, DType dtype) {
  std::vector<ConvRequest> requests;
  std::vector<std::vector<ConvGeometry>> geometries;
  const auto add = [&](int batch) {
    const std::vector<TensorSpec> tensors = network_.tensors(batch, dtype);
    geometries.emplace_back();
    for (const Node& node : network_.nodes()) {
      const auto request = node.layer->convolution(network_.inputs_of(node, tensors), use_of(node));
      if (!request) continue;
      requests.push_back(*request);
      geometries.back().push_back(request->geometry);
    }
  };
  add(max_batch_);
  for (const int batch : other_batches) add(batch);
  backend_.plan_convolutions(requests);
  return geometries;
}

void Executor::plan_tensors() {
  const auto& nodes = network_.nodes();
  const int num_nodes = static_cast<int>(nodes.size());
  const bool training = mode_ == ExecutionMode::training;
  // The images arrive before node 0; tensor i is written by node i - 1.
  const auto written = [](std::size_t i) { return std::max(static_cast<int>(i) - 1, 0); };
  tensor_buffer_.assign(tensors_.size(), -1);
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (owners_[i] != static_cast<TensorId>(i)) continue;
    tensor_buffer_[i] = static_cast<int>(plan_.buffers.size());
    const TensorView sized{tensors_[i].dtype, tensors_[i].shape, nullptr};
    plan_.buffers.push_back({i == 0 ? "images" : nodes[i - 1].name, sized.size_bytes(), written(i), written(i), 0});
  }
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    tensor_buffer_[i] = tensor_buffer_[static_cast<std::size_t>(owners_[i])];
    PlannedBuffer& buffer = plan_.buffers[static_cast<std::size_t>(tensor_buffer_[i])];
    buffer.first_use = std::min(buffer.first_use, written(i));
    const bool stays = static_cast<int>(i) == num_nodes || mode_ == ExecutionMode::tracing;  // logits: for the loss
    if (stays) buffer.last_use = num_nodes;
  }
  saved_buffer_.assign(nodes.size(), -1);
  for (int i = 0; i < num_nodes; ++i) {
    const Node& node = nodes[static_cast<std::size_t>(i)];
    const int backward_time = 2 * num_nodes - i;
    for (const TensorId input : node.inputs) {
      const int index = tensor_buffer_[static_cast<std::size_t>(input)];
      PlannedBuffer& buffer = plan_.buffers[static_cast<std::size_t>(index)];
      const bool kept = training && node.layer->backward_reads_inputs();
      buffer.last_use = std::max(buffer.last_use, kept ? backward_time : i);
    }
    const LayerMemory memory = node.layer->plan(backend_, network_.inputs_of(node, tensors_), use_of(node));
    plan_.scratch_bytes = std::max(plan_.scratch_bytes, memory.scratch_bytes);
    if (memory.saved_bytes == 0) continue;
    saved_buffer_[static_cast<std::size_t>(i)] = static_cast<int>(plan_.buffers.size());
    const int conv_before = norm_pairs_.conv_before[static_cast<std::size_t>(i)];  // may begin to write it
    const int first_use = training && conv_before >= 0 ? conv_before : i;
    plan_.buffers.push_back({node.name + ", saved", memory.saved_bytes, first_use, training ? backward_time : i, 0});
  }
}

void Executor::plan_scratch(int batch, DType dtype) {
  const std::vector<TensorSpec> tensors = network_.tensors(batch, dtype);
  for (const Node& node : network_.nodes()) {
    const LayerMemory memory = node.layer->plan(backend_, network_.inputs_of(node, tensors), use_of(node));
    plan_.scratch_bytes = std::max(plan_.scratch_bytes, memory.scratch_bytes);
  }
}

void Executor::plan_gradients() {
  const auto& nodes = network_.nodes();
  const int num_nodes = static_cast<int>(nodes.size());
  gradient_buffer_.assign(tensors_.size(), -1);
  modes_.resize(nodes.size());
  if (mode_ != ExecutionMode::training) return;
  const auto add_gradient = [&](TensorId id, int first_use) {
    const auto index = static_cast<std::size_t>(id);
    const int producer_backward = 2 * num_nodes - (id - 1);
    if (owners_[index] != id) {  // the gradient of the owner is there already
      gradient_buffer_[index] = gradient_buffer_[static_cast<std::size_t>(owners_[index])];
      require(gradient_buffer_[index] >= 0, "node {} is read by no other node", nodes[index - 1].name);
      PlannedBuffer& shared = plan_.buffers[static_cast<std::size_t>(gradient_buffer_[index])];
      shared.last_use = std::max(shared.last_use, producer_backward);
      return;
    }
    gradient_buffer_[index] = static_cast<int>(plan_.buffers.size());
    const TensorView sized{tensors_[index].dtype, tensors_[index].shape, nullptr};
    plan_.buffers.push_back(
        {nodes[index - 1].name + ", gradient", sized.size_bytes(), first_use, producer_backward, 0});
  };
  add_gradient(num_nodes, num_nodes);
  for (int i = num_nodes - 1; i >= 0; --i) {
    const Node& node = nodes[static_cast<std::size_t>(i)];
    for (const TensorId input : node.inputs) {
      const bool visited = gradient_buffer_[static_cast<std::size_t>(input)] >= 0;
      modes_[static_cast<std::size_t>(i)].push_back(visited ? GradMode::accumulate : GradMode::overwrite);
      if (input != 0 && !visited) add_gradient(input, 2 * num_nodes - i);
    }
  }
}

void Executor::resolve_units() {
  units_.assign(tensors_.size(), {});
  std::vector<TensorView> inputs;
  for (std::size_t i = 0; i < network_.nodes().size(); ++i) {
    const Node& node = network_.nodes()[i];
    inputs.clear();
    for (const TensorId input : node.inputs) inputs.push_back(tensor(input, max_batch_));
    units_[i + 1] = is_left_out(i) ? inputs[0].unit
                                   : node.layer->output_unit(inputs, parameters_, unit_values_.as<float>() + i + 1);
  }
}

TensorView Executor::view(const TensorSpec& spec, int buffer, int batch) const {
  if (buffer < 0) return {spec.dtype, spec.shape, nullptr};
  TensorView view{spec.dtype, spec.shape, arena_place_ + plan_.buffers[static_cast<std::size_t>(buffer)].offset};
  view.shape[0] = batch;
  return view;
}

std::int64_t Executor::pitch(TensorId id) const {
  const auto channels = [&](TensorId of) {
    const Shape& shape = tensors_[static_cast<std::size_t>(of)].shape;
    return shape[shape.rank - 1];
  };
  const std::int64_t of_owner = channels(owners_[static_cast<std::size_t>(id)]);
  return of_owner == channels(id) ? 0 : of_owner;
}

bool Executor::is_left_out(std::size_t node) const {
  return owners_[node + 1] <= static_cast<TensorId>(node);
}

TensorView Executor::tensor(TensorId id, int batch) const {
  const auto index = static_cast<std::size_t>(id);
  TensorView result = view(tensors_[index], tensor_buffer_[index], batch);
  result.unit = units_[index];
  result.pitch = pitch(id);
  return result;
}

TensorView Executor::gradient(TensorId id, int batch) const {
  const auto index = static_cast<std::size_t>(id);
  TensorView result = view(tensors_[index], gradient_buffer_[index], batch);
  result.pitch = pitch(id);
  return result;
}

TensorView Executor::d_logits(int batch) const {
  return gradient(static_cast<TensorId>(network_.nodes().size()), batch);
}

ConvGeometry Executor::convolution(int node, int batch) const {
  const Node& of = network_.nodes()[static_cast<std::size_t>(node)];
  ConvGeometry geometry = of.layer->convolution(network_.inputs_of(of, tensors_), use_of(of))->geometry;
  geometry.batch = batch;
  return geometry;
}

ForwardPass Executor::forward_pass(std::size_t node, int batch, const ForwardOptions& options, Call& call) const {
  const Node& of = network_.nodes()[node];
  call.inputs.clear();
  for (const TensorId input : of.inputs) call.inputs.push_back(tensor(input, batch));
  const TensorView output = tensor(static_cast<TensorId>(node) + 1, batch);
  require_dense(of, call.inputs, output);
  ForwardPass pass{.backend = backend_,
                   .parameters = parameters_,
                   .inputs = call.inputs,
                   .output = output,
                   .saved = view({}, saved_buffer_[node], batch).data,
                   .scratch = scratch_place_,
                   .training = mode_ == ExecutionMode::training,
                   .slice = options.slice,
                   .act_scale = options.act_scale,
                   .rounds_to_ranges = options.rounds_to_ranges,
                   .keys = options.keys};
  if (!pass.training) return pass;
  const auto set = [&](const ConvGeometry*& field, int conv, ConvGeometry& geometry) {
    if (conv < 0) return;
    geometry = convolution(conv, batch);
    field = &geometry;
  };
  set(pass.x_from, norm_pairs_.conv_before[node], call.convolutions[0]);
  set(pass.read_by, norm_pairs_.only_reader[node], call.convolutions[1]);
  return pass;
}

NormActForwardArgs Executor::norm(int node, int batch, const ForwardOptions& options, Call& call) const {
  const auto number = static_cast<std::size_t>(node);
  return network_.nodes()[number].layer->norm(forward_pass(number, batch, options, call));
}

void Executor::forward(int batch, const ForwardOptions& options) {
  require(batch >= 1 && batch <= max_batch_, "batch of {} in an executor planned for {}", batch, max_batch_);
  const auto& nodes = network_.nodes();
  Call call;
  Call behind_call;
  Call before_call;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Range range(backend_, nodes[i].name);
    if (is_left_out(i)) {
      if (options.node_done) options.node_done(i);
      continue;
    }
    ForwardPass pass = forward_pass(i, batch, options, call);
    NormActForwardArgs norm_behind;
    NormActForwardArgs norm_before;
    if (const int behind = norm_pairs_.norm_behind[i]; behind >= 0 && pass.training) {
      norm_behind = norm(behind, batch, options, behind_call);
      pass.norm = &norm_behind;
    }
    if (const int before = norm_pairs_.input_norm[i]; before >= 0 && pass.training) {
      norm_before = norm(before, batch, options, before_call);
      pass.input_norm = &norm_before;
    }
    nodes[i].layer->forward(pass);
    if (options.node_done) options.node_done(i);
  }
}

BackwardPass Executor::backward_pass(std::size_t node, int batch, BatchSlice* slice, const SampleKeys& keys,
                                     Call& call) const {
  const Node& of = network_.nodes()[node];
  call.inputs.clear();
  call.d_inputs.clear();
  for (const TensorId input : of.inputs) {
    call.inputs.push_back(tensor(input, batch));
    call.d_inputs.push_back(gradient(input, batch));
  }
  TensorView d_output = gradient(static_cast<TensorId>(node) + 1, batch);
  d_output.unit = units_[node + 1];
  require_dense(of, call.d_inputs, d_output);
  return {.backend = backend_,
          .parameters = parameters_,
          .inputs = call.inputs,
          .d_output = d_output,
          .d_inputs = call.d_inputs,
          .modes = modes_[node],
          .saved = view({}, saved_buffer_[node], batch).data,
          .scratch = scratch_place_,
          .slice = slice,
          .keys = keys};
}

void Executor::backward(int batch, const std::function<void(std::size_t node)>& node_done, BatchSlice* slice,
                        const SampleKeys& keys) {
  require(mode_ == ExecutionMode::training, "backward of an inference executor");
  const auto& nodes = network_.nodes();
  Call call;
  Call norm_call;
  Call input_call;
  for (std::size_t i = nodes.size(); i-- > 0;) {
    const Range range(backend_, nodes[i].name + " backward");
    BackwardPass pass = backward_pass(i, batch, slice, keys, call);
    NormActBackwardArgs norm_backward;
    NormActForwardArgs input_norm;
    ConvGeometry conv;
    if (const int before = norm_pairs_.norm_before[i]; before >= 0) {
      const auto writer = static_cast<std::size_t>(before);
      norm_backward = nodes[writer].layer->norm(backward_pass(writer, batch, slice, keys, norm_call));
      pass.norm = &norm_backward;
    }
    if (const int before = norm_pairs_.input_norm[i]; before >= 0) {
      input_norm = norm(before, batch, {.slice = slice, .keys = keys}, input_call);
      pass.input_norm = &input_norm;
    }
    if (const int behind = norm_pairs_.conv_behind[i]; behind >= 0) {
      conv = convolution(behind, batch);
      pass.d_y_from = &conv;
    }
    if (nodes[i].layer->runs_convolution()) {
      const ConvGeometry own = convolution(static_cast<int>(i), batch);
      if (gradient_parts_.is_full_for(own)) {
        gradient_parts_.sum();
        if (node_done && i + 1 < nodes.size()) node_done(i + 1);
      }
      const ParameterId weight = nodes[i].layer->parameters().front();
      pass.gradient_parts = gradient_parts_.take(own, parameters_.gradients[static_cast<std::size_t>(weight)]);
    }
    nodes[i].layer->backward(pass);
    if (i == 0) gradient_parts_.sum();
    if (node_done && gradient_parts_.is_empty()) node_done(i);
  }
}

}  // namespace bsq
