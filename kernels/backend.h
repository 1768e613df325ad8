// What a device can do: the one interface between the engine and a device.
//
// Few fat operations instead of many thin ones, since every operation is a pass over memory. Rules for all of them:
// - Work is enqueued on one stream in program order; nothing but download() and synchronize() waits for it.
// - No operation allocates. Those that need scratch memory say how much (`*_scratch_bytes`, a pure function of the
//   geometry) and get it as their last argument; scratch holds nothing between calls.
// - Every pointer is device memory, 64-byte aligned (weights rounded to bf16: 32), dense, and overlaps no
//   other argument unless said otherwise.
// - Outputs are overwritten unless a GradMode says otherwise. Inputs are never written.
// - Same arguments, same bits: reductions have a fixed order. `round` is half-to-even.
// - What changes from step to step is read from `StepInputs` in device memory, so that a captured step can be replayed.
// Numbers as in "METHOD 6" refer to kernels/METHOD.md.
#pragma once

#include "kernels/engine_note.h"
#include "kernels/operation_args.h"
#include "kernels/ranks/communicator.h"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bsq {

/// A recorded sequence of operations.
class CapturedWork {
 public:
  virtual ~CapturedWork() = default;
  virtual void replay() = 0;
};

/// A point in the order of enqueued work.
class Milestone {
 public:
  virtual ~Milestone() = default;
};

class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  /// "cpu", "reference" or "cuda".
  virtual std::string name() const = 0;
  /// One line for logs: device, instruction set or compute capability, threads, library versions.
  virtual std::string describe() const = 0;
  /// What a person should know of how this backend does what was planned on it so far (plan_convolutions).
  virtual std::vector<std::string> notes() const { return {}; }
  /// How it runs the convolutions that were planned on it so far, in the order of planning.
  virtual std::vector<EngineNote> engines() const { return {}; }
  /// Whether convolutions can run in `precision` here; on false `why` says what is missing.
  virtual bool supports(Precision precision, std::string& why) const = 0;

  /// `ranks` as they reach the memory of this device: reductions become operations like those below, everything else
  /// stays as it is. To be called by all ranks; both outlive what it returns. Throws Error(device).
  virtual std::unique_ptr<Communicator> connect(Communicator& ranks) {
    return std::make_unique<ForwardingCommunicator>(ranks);  // device memory is host memory
  }

  // ---- memory -------------------------------------------------------------------------------------------------
  /// Throws Error(device) naming what was wanted and what is free.
  virtual void* allocate(std::size_t size_bytes) = 0;
  virtual void release(void* data) noexcept = 0;
  virtual void upload(void* device, const void* host, std::size_t size_bytes) = 0;
  /// Waits for the work enqueued so far.
  virtual void download(void* host, const void* device, std::size_t size_bytes) = 0;
  /// The work enqueued so far; null where the host never runs ahead of it.
  virtual std::unique_ptr<Milestone> milestone() { return nullptr; }
  /// As download(), but waits only for the work before `milestone`, and what follows goes on meanwhile.
  virtual void download_after(const Milestone& /*milestone*/, void* host, const void* device, std::size_t size_bytes) {
    download(host, device, size_bytes);
  }
  /// As download_after(), for one thread beside the one that enqueues: what either enqueues or waits for does not hold
  /// the other up. `milestone` is the other thread's; null where milestone() was.
  virtual void download_aside(const Milestone* /*milestone*/, void* host, const void* device, std::size_t size_bytes) {
    download(host, device, size_bytes);
  }
  /// Within device memory; the two do not overlap.
  virtual void copy(void* to, const void* from, std::size_t size_bytes) = 0;
  virtual void fill_zero(void* device, std::size_t size_bytes) = 0;
  virtual void synchronize() = 0;
  /// Records what `enqueue` enqueues, for replay(), and runs nothing of it now. Host values it reads must not change
  /// until the last replay; device memory may.
  virtual std::unique_ptr<CapturedWork> capture(std::function<void()> enqueue) = 0;
  /// How long the device is busy with what `enqueue` enqueues, once it has begun; by its own clock where it has one.
  /// What was enqueued before is not in it and need not be waited for. Returns when all is done. Not within capture().
  virtual double device_seconds(const std::function<void()>& enqueue) {
    synchronize();
    const auto start = std::chrono::steady_clock::now();
    enqueue();
    synchronize();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  // ---- for profilers, which see them beside the work that is enqueued in between (Range, below) ----------------
  virtual void begin_range(const char* /*name*/) {}
  virtual void end_range() noexcept {}

  // ---- input --------------------------------------------------------------------------------------------------
  /// *inputs = steps[*taken], and *taken counts one up: at the head of a captured step, which so takes the inputs of
  /// one replay after the other from those that have been uploaded together.
  virtual void take_step_inputs(const StepInputs* steps, std::int64_t* taken, StepInputs* inputs) = 0;
  /// Gathers samples order[first_sample + i], i < batch: output [batch, H, W, C] of `dtype`, labels [batch].
  /// Crop and flip are keyed by (rule.seed, rule.stream, epoch, sample index), see draw_crop_flip in random.h.
  virtual void augment(const AugmentArgs& args) = 0;

  // ---- convolution, NHWC x OHWI -> NHWC -------------------------------------------------------------------------
  /// Chooses how these will be run, all of them at once, which may take seconds. What has been planned stays as it is;
  /// a pass that has not is refused when it is to be run. Not within capture().
  virtual void plan_convolutions(std::span<const ConvRequest> requests) {
    for (const ConvRequest& request : requests) conv2d_scratch_bytes(request.geometry, request.passes);
  }
  /// Of any of `passes`, which it plans where plan_convolutions() has not.
  virtual std::size_t conv2d_scratch_bytes(const ConvGeometry& geometry, const ConvPasses& passes) = 0;
  virtual void conv2d_forward(const ConvGeometry& geometry, const void* input, const void* weight, void* output,
                              void* scratch) = 0;
  virtual void conv2d_backward_data(const ConvGeometry& geometry, const void* d_output, const void* weight,
                                    void* d_input, GradMode mode, void* scratch) = 0;
  /// d_weight float32 [O, K, K, I], overwritten. With dtype bf16 all three multiply bf16 operands, weights included,
  /// and accumulate in float32: integer levels whose sums stay below 2^24 give exactly their integer convolution.
  virtual void conv2d_backward_weight(const ConvGeometry& geometry, const void* input, const void* d_output,
                                      float* d_weight, void* scratch) = 0;

  // ---- batch norm + shortcut + activation + quantizer (METHOD 6) -----------------------------------------------
  virtual std::size_t norm_act_scratch_bytes(const NormActGeometry& geometry) = 0;
  /// z = gamma (x - mean) inv_std + beta [+ shortcut];  y = act(z): z, max(z, 0), clamp(z, 0, 6) or clamp(z, 0, clip).
  /// With act_bits = k > 0: S = max|y| over the whole tensor, y = S round(y (2^k - 1) / S) / (2^k - 1); S = 0 gives 0.
  /// x, shortcut (null: none) and y: [rows, C] of geometry.dtype, in their units: x means x_unit times what is stored.
  /// Where y_unit is given, y is stored as round(y (2^k - 1) / S), and *y_unit = S / (2^k - 1). y may be x only where
  /// nothing will run backward. Where `act_scale` is given it is S, and y is clamped to [-S, S] before it is rounded.
  /// Where `slice` is given, batch statistics and max|y| are those of the whole batch (METHOD 10).
  virtual void norm_act_forward(const NormActForwardArgs& args) = 0;
  /// Straight through the quantizer. dz = dy [0 < z (< 6 | < clip)]; d_clip = sum dy [z >= clip]; d_shortcut = dz;
  /// d_beta = sum dz, d_gamma = sum dz xhat, xhat = (x - mean) inv_std;
  /// dx = gamma inv_std (dz - d_beta / rows - xhat d_gamma / rows)   (batch statistics only).
  /// d_y, d_x and d_shortcut are with respect to what is stored: dy = d_y / y_unit (0 where the unit is 0),
  /// d_x = x_unit dx, d_shortcut = shortcut_unit dz.
  /// Where `slice` is given, the sums in dx are the batch's; the gradients of parameters stay those of the slice.
  /// Needs rule.batch_statistics. d_x may be d_y. d_shortcut is null exactly where shortcut is; `shortcut_mode` says
  /// how it is written.
  virtual void norm_act_backward(const NormActBackwardArgs& args) = 0;

  // ---- head -----------------------------------------------------------------------------------------------------
  /// output [N, C] float32 = unit times the mean over pixels of input [N, pixels, C].
  virtual void average_pool_forward(const PoolGeometry& geometry, const void* input, TensorUnit unit,
                                    float* output) = 0;
  /// d_input [N, pixels, C] = unit d_output / pixels, with respect to the stored input.
  virtual void average_pool_backward(const PoolGeometry& geometry, const float* d_output, TensorUnit unit,
                                     void* d_input) = 0;
  /// Makes ready what a linear layer needs, so that its first run can be within capture(). `backward`: both passes.
  virtual void plan_linear(const LinearGeometry& /*geometry*/, bool /*backward*/) {}
  /// output [N, O] = input [N, I] weight[O, I]^T + bias [O].
  virtual void linear_forward(const LinearGeometry& geometry, const float* input, const float* weight,
                              const float* bias, float* output) = 0;
  /// d_input = d_output weight; d_weight = d_output^T input; d_bias = column sums of d_output.
  virtual void linear_backward(const LinearGeometry& geometry, const float* d_output, const float* input,
                               const float* weight, float* d_input, float* d_weight, float* d_bias) = 0;
  /// Mean cross entropy over the batch: d_logits = (softmax(logits) - onehot) / batch; null in evaluation.
  /// Overwrites loss_sum, top1, top5 and samples of metrics[metrics_slot]. A label counts as top-k where fewer than k
  /// logits are larger, or equal and earlier; a row with a NaN never counts.
  virtual void softmax_cross_entropy(int batch, int classes, const float* logits, const std::int32_t* labels,
                                     float* d_logits, const StepInputs* inputs, StepMetrics* metrics) = 0;

  // ---- bit planes, all tensors in one call (METHOD 1 to 3) ------------------------------------------------------
  /// weights = s q, q = sign(v) round(|v| (2^n - 1)) / (2^n - 1), v = clamp(sum_b c_b (p_b - n_b), -1, 1),
  /// c_b = 2^(n-1-b) / (2^n - 1). On the way plane_norms[first_plane + b] = sqrt(1e-8 + sum(p_b^2 + n_b^2)) and
  /// *penalty = sum over tensors of penalty_weight * sum_b norm_b.
  /// Where a tensor's storage says so, integers q (2^n - 1) are written instead, and their unit s / (2^n - 1).
  /// scales: [tensors]. Reads every plane once.
  virtual void weights_from_planes(const PlanesForwardArgs& args) = 0;
  /// One SGD step on every plane and scale: g = +-c_b s dW + alpha penalty_weight x / norm_b, then `rule`, then
  /// clamp to [0, 2]; the scale: g = sum(q dW), never clamped. Where weights are integers d_weights holds their
  /// gradient, unit dW, and the scale's gradient is 0 where the unit is 0.
  /// metrics[metrics_slot].penalty is that of the planes before the step; weights, units, norms and *penalty become,
  /// bit for bit, what weights_from_planes makes of them after it: in the same pass, which reads and writes planes and
  /// momentum once, but for a second look at the planes of tensors that are stored as values.
  virtual void planes_step(const PlanesStepArgs& args) = 0;
  /// Of weights_from_planes and planes_step, for the partial sums of a fixed-order reduction.
  virtual std::size_t planes_scratch_bytes(const DeviceTable<PlaneTensor>& tensors) = 0;

  // ---- fixed-point weights, all tensors in one call (METHOD 5) ------------------------------------------------
  /// weights = s sign(v) round(|v| (2^n - 1)) / (2^n - 1), v = clamp(u, -1, 1); 0 where bits = 0. Integers as above.
  virtual void weights_from_fixed(const FixedForwardArgs& args) = 0;
  /// g_u = s dW, g_s = sum(q dW), then `rule`; u is clamped to [-1, 1] afterwards. Nothing moves where bits = 0.
  /// Integers as above.
  virtual void fixed_step(const FixedStepArgs& args) = 0;
  virtual std::size_t fixed_scratch_bytes(const DeviceTable<FixedTensor>& tensors) = 0;

  // ---- what weights are made of, for logs: all tensors in one call ------------------------------------------------
  /// counts[t] of every tensor, after the float32 arithmetic of kernels/published_rounding.h, to the bit: zeros of the
  /// effective weights; ones of plane b where p_b - n_b is not 0. A weight is a NaN where its sum of planes is.
  virtual void count_planes(const PlaneCountArgs& args) = 0;
  /// The same of fixed-point weights; ones are the bits of a weight's level. Nothing but zeros where bits = 0.
  virtual void count_fixed(const FixedCountArgs& args) = 0;

  // ---- plain parameters --------------------------------------------------------------------------------------------
  /// rounded [numel] bf16 = values, to nearest even: float weights as bf16 convolutions read them.
  virtual void round_to_bf16(std::int64_t numel, const float* values, void* rounded) = 0;
  virtual void sgd_step(std::int64_t numel, const SgdRule& rule, const StepInputs* inputs, const float* gradient,
                        float* parameter, float* momentum) = 0;
};

/// A range from here to the end of the scope.
class Range {
 public:
  Range(Backend& backend, const char* name) : backend_(backend) { backend_.begin_range(name); }
  Range(Backend& backend, const std::string& name) : Range(backend, name.c_str()) {}
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
  ~Range() { backend_.end_range(); }

 private:
  Backend& backend_;
};

/// What make_backend needs to know. `threads` = 0 means all cores the process may use.
struct BackendOptions {
  int threads = 0;
  int local_rank = 0;       // which of the devices that this process sees, counted round
  bool allow_tf32 = false;  // float32 products may round their operands to tf32: Precision::tf32
};

}  // namespace bsq
