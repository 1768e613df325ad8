// What a device can do: the one interface between the engine and a device.
//
// Few fat operations instead of many thin ones, since every operation is a pass over memory. Rules for all of them:
// - Work is enqueued on one stream in program order; nothing but download() and synchronize() waits for it.
// - No operation allocates. An operation that needs scratch memory says how much (`*_scratch_bytes`, a pure function of
//   its argument) and gets it as `scratch`; scratch holds nothing between calls.
// - Every pointer is device memory, 64-byte aligned (weights rounded to bf16: 32), dense, and overlaps no
//   other argument unless said otherwise.
// - Outputs are overwritten unless a GradMode says otherwise. Inputs are never written.
// - Same arguments, same bits: reductions have a fixed order. `round` is half-to-even.
// - What changes from step to step is read from `StepInputs` in device memory, so that a captured step can be replayed.
// Numbers as in "METHOD 6" refer to kernels/METHOD.md.
#pragma once

#include "kernels/engine_note.h"
#include "kernels/ops/operations.h"
#include "kernels/ranks/communicator.h"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
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
class Marker {
 public:
  virtual ~Marker() = default;
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
  /// What a person should know about how this backend runs what was planned on it so far (plan_convolutions).
  virtual std::vector<std::string> notes() const { return {}; }
  /// How it runs the convolutions that were planned so far, in the order of planning.
  virtual std::vector<EngineNote> engines() const { return {}; }
  /// Whether convolutions can run in `precision` here; on false `why` says what is missing.
  virtual bool supports(Precision precision, std::string& why) const = 0;

  /// A communicator of `ranks` for the memory of this device: its reductions are enqueued like the operations below,
  /// everything else is passed on to `ranks`. To be called by all ranks. `ranks` and this backend must outlive what it
  /// returns. Throws Error(device).
  virtual std::unique_ptr<Communicator> connect(Communicator& ranks) {
    return std::make_unique<ForwardingCommunicator>(ranks);  // device memory is host memory
  }

  // ---- memory -------------------------------------------------------------------------------------------------
  /// Zeros, which take up no memory of a host before they are used. Throws Error(device) naming what was wanted and
  /// what is free.
  virtual void* allocate(std::size_t size_bytes) = 0;
  /// How much there is in all, used or not; 0: it is the memory of the host.
  virtual std::size_t memory_bytes() const { return 0; }
  virtual void release(void* data) noexcept = 0;
  virtual void upload(void* device, const void* host, std::size_t size_bytes) = 0;
  /// Waits for the work enqueued so far.
  virtual void download(void* host, const void* device, std::size_t size_bytes) = 0;
  /// Marks the work enqueued so far; null if the host never runs ahead of the device.
  virtual std::unique_ptr<Marker> marker() { return nullptr; }
  /// As download(), but waits only for the work before `marker`, and what follows goes on meanwhile.
  virtual void download_after(const Marker& /*marker*/, void* host, const void* device, std::size_t size_bytes) {
    download(host, device, size_bytes);
  }
  /// As download_after(), for one thread beside the one that enqueues: neither thread holds the other up. `marker`
  /// comes from the other thread; it is null if marker() was.
  virtual void download_aside(const Marker* /*marker*/, void* host, const void* device, std::size_t size_bytes) {
    download(host, device, size_bytes);
  }
  /// Memory of the host from which upload_aside() copies; it holds anything at first. Throws Error(device).
  virtual void* allocate_host(std::size_t size_bytes) { return ::operator new(size_bytes); }
  virtual void release_host(void* data) noexcept { ::operator delete(data); }
  /// As upload(), from memory of allocate_host(), but beside the work: the copy waits for the work before `after` alone
  /// (null: for none), and what is enqueued from here on waits for the copy. Returns a marker of its end, which must be
  /// waited for before `host` changes; null if that is over.
  virtual std::unique_ptr<Marker> upload_aside(const Marker* /*after*/, void* device, const void* host,
                                               std::size_t size_bytes) {
    upload(device, host, size_bytes);
    return nullptr;
  }
  /// Until what is before `marker` is done.
  virtual void wait(const Marker& /*marker*/) {}
  /// Copies within device memory; the two places do not overlap.
  virtual void copy(void* to, const void* from, std::size_t size_bytes) = 0;
  virtual void fill_zero(void* device, std::size_t size_bytes) = 0;
  virtual void synchronize() = 0;
  /// Records what `enqueue` enqueues, for replay(), and runs none of it now. Host values that it reads must not change
  /// until the last replay; device memory may.
  virtual std::unique_ptr<CapturedWork> capture(std::function<void()> enqueue) = 0;
  /// How long the device is busy with what `enqueue` enqueues, from its beginning on; by the clock of the device if it
  /// has one. Work enqueued before does not count and need not be waited for. Returns when all is done. Not within
  /// capture().
  virtual double device_seconds(const std::function<void()>& enqueue) {
    synchronize();
    const auto start = std::chrono::steady_clock::now();
    enqueue();
    synchronize();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  // ---- for profilers, which show the work that is enqueued in between under this name (Range, below) ------------
  virtual void begin_range(const char* /*name*/) {}
  virtual void end_range() noexcept {}

  // ---- planning: what has to be chosen before an operation runs, or before it runs within capture() ------------
  /// Chooses how these convolutions will be run, all of them at once, which may take seconds. What has been planned
  /// stays as it is; a pass that has not been planned is refused when it is to be run. Not within capture().
  virtual void plan_convolutions(std::span<const ConvRequest> requests) {
    for (const ConvRequest& request : requests) conv2d_scratch_bytes(request);
  }
  /// Prepares a linear layer, so that its first run can be within capture(). `backward`: prepares both passes.
  virtual void plan_linear(const LinearGeometry& /*geometry*/, bool /*backward*/) {}

  // ---- filter gradients of several layers at once ----------------------------------------------------------------
  /// In how many parts conv2d_backward_weight leaves the gradient if it gets memory for them; 1: it takes none. The sum
  /// of the parts has the bits that it has otherwise.
  virtual int gradient_parts(const ConvGeometry& /*geometry*/) { return 1; }
  /// Enqueues the sums of what was left in parts.
  virtual void sum_gradient_parts(std::span<const GradientParts> /*gradients*/) {}

  // ---- the operations --------------------------------------------------------------------------------------------
  // kernels/ops/operations.def lists them, one line per operation: augment(const AugmentArgs&), conv2d_forward(const
  // ConvForwardArgs&), ... What an operation does stands above its arguments, in the header of its family in
  // kernels/ops/.
#define BSQ_OPERATION(family, name, Args) virtual void name(const Args& args) = 0;
#define BSQ_SCRATCH(family, name, Of) virtual std::size_t name(const Of& of) = 0;
#include "kernels/ops/operations.def"
};

/// A named range of a profiler, from here to the end of the scope.
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

/// What make_backend needs to know. `threads` = 0: default_threads() (kernels/base/thread_count.h).
struct BackendOptions {
  int threads = 0;
  int local_rank = 0;       // the device number, modulo the number of devices that this process sees
  bool allow_tf32 = false;  // float32 products may round their operands to tf32: Precision::tf32
};

}  // namespace bsq
