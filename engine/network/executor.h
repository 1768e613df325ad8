// Runs a network: plans where every tensor lives before the first step, then walks the list of nodes.
//
// Where a tensor feeds several nodes its gradient is overwritten by the first visitor of the backward walk and
// accumulated by the others; that is decided here, once. A chain of concats shares one buffer (tensor_owners.h).
// Nothing is allocated after construction. Batches may be smaller than planned if that was said then.
#pragma once

#include "engine/memory/memory_planner.h"
#include "engine/network/gradient_parts_buffer.h"
#include "engine/network/network.h"
#include "engine/network/norm_pairs.h"

#include <functional>

namespace bsq {

/// tracing: inference that keeps every tensor. guest: inference in the memory of another executor, on its images.
enum class ExecutionMode { training, inference, tracing, guest };

/// The plan alone: sizes without memory, for dry runs and reports.
struct ExecutionPlan {
  std::vector<PlannedBuffer> buffers;  // activations, gradients and saved state of every node
  std::size_t arena_bytes = 0;         // what they need together
  std::size_t scratch_bytes = 0;       // the largest scratch of any operation
};

struct ForwardOptions {
  BatchSlice* slice = nullptr;               // training: set if batch statistics are those of the batch of all ranks
  ActScale act_scale = ActScale::batch_max;  // inference
  bool rounds_to_ranges = true;              // where the network has ranges
  SampleKeys keys = {};  // training: of networks that draw random numbers, with the stream of the stage's dropout
  /// Called when what a node writes is enqueued, before anything can take its place.
  std::function<void(std::size_t node)> node_done = {};
};

class Executor {
 public:
  /// `parameters` must outlive the executor; its pointers are read at every call. `other_batches`: all smaller sizes
  /// that will be run; a backend may need more scratch for them, and chooses its algorithms when they are planned,
  /// which it cannot do while work is captured. `guest`: an executor of that mode, for the same batches. It has no
  /// memory until now; it lives in that of this one, where it has to run before each forward pass of this one (images
  /// are theirs together) and leaves its logits until the backward pass.
  Executor(DeviceMemory& memory, const Network& network, const ParameterMemory& parameters, int max_batch, DType dtype,
           ExecutionMode mode, const std::vector<int>& other_batches = {}, Executor* guest = nullptr);
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  void forward(int batch, const ForwardOptions& options = {});
  /// After forward of the same batch, with d_logits filled in. Writes every parameter's gradient; calls `node_done`
  /// when those of a node and of all behind it are enqueued, the last node first, but not necessarily for each.
  /// `slice`, `keys`: as in forward.
  void backward(int batch, const std::function<void(std::size_t node)>& node_done = {}, BatchSlice* slice = nullptr,
                const SampleKeys& keys = {});

  TensorView images(int batch) const { return tensor(0, batch); }
  TensorView logits(int batch) const { return tensor(static_cast<TensorId>(network_.nodes().size()), batch); }
  TensorView d_logits(int batch) const;
  /// Any tensor of the list, perhaps a part of wider pixels; in inference only until its last reader has run, in
  /// tracing until the next forward.
  TensorView tensor(TensorId id, int batch) const;
  int max_batch() const { return max_batch_; }
  const ExecutionPlan& plan() const { return plan_; }

 private:
  LayerUse use_of(const Node& node) const;
  /// Plans the convolutions of all batch sizes at once; returns them, by batch.
  std::vector<std::vector<ConvGeometry>> plan_convolutions(const std::vector<int>& other_batches, DType dtype);
  void plan_tensors();
  void plan_gradients();
  void plan_scratch(int batch, DType dtype);
  /// Makes the buffers of a guest part of the plan.
  void invite(const Executor& guest);
  /// Tells the guest what the plan says.
  void settle(Executor& guest) const;
  void resolve_units();
  TensorView view(const TensorSpec& spec, int buffer, int batch) const;
  TensorView gradient(TensorId id, int batch) const;
  /// Of wider pixels, of which a tensor is a part; 0: it is not.
  std::int64_t pitch(TensorId id) const;
  bool is_left_out(std::size_t node) const;
  /// What one call of a layer is made with, and the tensors that it refers to.
  struct Call {
    std::vector<TensorView> inputs;
    std::vector<TensorView> d_inputs;
    ConvGeometry convolutions[2];  // beside a norm
  };
  ForwardPass forward_pass(std::size_t node, int batch, const ForwardOptions& options, Call& call) const;
  BackwardPass backward_pass(std::size_t node, int batch, BatchSlice* slice, const SampleKeys& keys, Call& call) const;
  /// What a norm is run with forward, in training.
  NormActForwardArgs norm(int node, int batch, const ForwardOptions& options, Call& call) const;
  /// The convolution of a node.
  ConvGeometry convolution(int node, int batch) const;

  const Network& network_;
  const ParameterMemory& parameters_;
  Backend& backend_;
  int max_batch_;
  ExecutionMode mode_;
  std::vector<TensorSpec> tensors_;
  std::vector<TensorId> owners_;  // by tensor
  NormPairs norm_pairs_;
  std::vector<int> tensor_buffer_;            // index into plan_.buffers
  std::vector<int> gradient_buffer_;          // likewise; -1: no gradient (the images, and everything in inference)
  std::vector<int> saved_buffer_;             // by node; -1: nothing saved
  std::vector<std::vector<GradMode>> modes_;  // by node and input
  std::vector<TensorUnit> units_;             // by tensor
  ExecutionPlan plan_;
  GradientPartsBuffer gradient_parts_;
  Buffer unit_values_;  // one per tensor; most are not used
  Buffer arena_;        // empty if this is a guest
  Buffer scratch_;
  std::byte* arena_place_ = nullptr;
  void* scratch_place_ = nullptr;
};

}  // namespace bsq
