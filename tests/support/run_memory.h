// The memory of one run of one operator: every argument in a guarded buffer under its name. finish() checks that no
// guard was touched and no input written, and returns everything that could have been written, as doubles.
#pragma once

#include "kernels/bf16.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/catch.h"

#include <list>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

namespace bsq::test {

struct Output {
  DType dtype = DType::f32;
  std::vector<double> values;
};
using Outputs = std::map<std::string, Output>;

/// What an operator sees of `values` in `dtype`.
inline std::vector<float> rounded_to(DType dtype, std::vector<float> values) {
  if (dtype == DType::bf16) {
    for (float& value : values) value = to_float(to_bfloat16(value));
  }
  return values;
}

class RunMemory {
 public:
  explicit RunMemory(Backend& backend) : backend_(backend) {}

  template <typename T>
  const T* input(const std::string& name, const std::vector<T>& values) {
    return add(name, Role::input, dtype_of<T>(), values);
  }
  const void* input(const std::string& name, DType dtype, const std::vector<float>& values) {
    return dtype == DType::bf16 ? static_cast<const void*>(input(name, to_bf16(values))) : input(name, values);
  }
  /// An argument that is read and written.
  template <typename T>
  T* in_out(const std::string& name, const std::vector<T>& values) {
    return add(name, Role::output, dtype_of<T>(), values);
  }
  void* in_out(const std::string& name, DType dtype, const std::vector<float>& values) {
    return dtype == DType::bf16 ? static_cast<void*>(in_out(name, to_bf16(values))) : in_out(name, values);
  }
  /// A poisoned argument that is written.
  void* output(const std::string& name, DType dtype, std::int64_t count) {
    return add(name, Role::output, dtype, static_cast<std::size_t>(count) * size_of(dtype)).data();
  }
  template <typename T>
  T* output(const std::string& name, std::int64_t count) {
    return static_cast<T*>(output(name, dtype_of<T>(), count));
  }
  /// Poisoned memory of exactly this size, which may hold anything afterwards.
  void* scratch(std::size_t size_bytes) { return add("scratch", Role::scratch, DType::u8, size_bytes).data(); }

  /// Slots 0 and 2 hold a pattern and must keep it; operators are told to write slot 1.
  StepMetrics* metrics() {
    const StepMetrics pattern{1.5, 2.5, 3, 4, 5};
    GuardedBuffer& buffer = add("metrics", Role::metrics, DType::u8, 3 * sizeof(StepMetrics));
    buffer.set(std::vector<StepMetrics>(3, pattern));
    return static_cast<StepMetrics*>(buffer.data());
  }
  const StepInputs* step_inputs(StepInputs inputs) {
    inputs.metrics_slot = 1;
    return bytes("step inputs", std::vector<StepInputs>{inputs});
  }
  /// Any other read-only table.
  template <typename T>
  const T* bytes(const std::string& name, const std::vector<T>& values) {
    return add(name, Role::input, DType::u8, values);
  }

  Outputs finish() {
    backend_.synchronize();
    Outputs outputs;
    for (const Argument& argument : arguments_) {
      INFO(backend_.name() << ", argument " << argument.name);
      CHECK(argument.buffer.guards_intact());
      if (argument.role == Role::input) CHECK(argument.buffer.get<std::byte>() == argument.before);
      if (argument.role == Role::output) outputs[argument.name] = read(argument);
      if (argument.role == Role::metrics) read_metrics(argument.buffer.get<StepMetrics>(), outputs);
    }
    return outputs;
  }

 private:
  enum class Role { input, output, scratch, metrics };
  struct Argument {
    Argument(Backend& backend, std::string argument_name, Role argument_role, DType argument_dtype, std::size_t size)
        : name(std::move(argument_name)), role(argument_role), dtype(argument_dtype), buffer(backend, size) {}
    std::string name;
    Role role;
    DType dtype;
    GuardedBuffer buffer;
    std::vector<std::byte> before;  // of an input
  };

  template <typename T>
  static constexpr DType dtype_of() {
    if constexpr (std::is_same_v<T, float>) return DType::f32;
    if constexpr (std::is_same_v<T, double>) return DType::f64;
    if constexpr (std::is_same_v<T, bfloat16>) return DType::bf16;
    if constexpr (std::is_same_v<T, std::int32_t>) return DType::i32;
    return DType::u8;
  }
  static std::vector<bfloat16> to_bf16(const std::vector<float>& values) {
    std::vector<bfloat16> converted;
    for (const float value : values) converted.push_back(to_bfloat16(value));
    return converted;
  }

  GuardedBuffer& add(const std::string& name, Role role, DType dtype, std::size_t size_bytes) {
    return arguments_.emplace_back(backend_, name, role, dtype, size_bytes).buffer;
  }
  template <typename T>
  T* add(const std::string& name, Role role, DType dtype, const std::vector<T>& values) {
    GuardedBuffer& buffer = add(name, role, dtype, values.size() * sizeof(T));
    buffer.set(values);
    if (role == Role::input) arguments_.back().before = buffer.get<std::byte>();
    return static_cast<T*>(buffer.data());
  }

  static Output read(const Argument& argument) {
    Output output{argument.dtype, {}};
    const auto append = [&](const auto& values) { output.values.assign(values.begin(), values.end()); };
    if (argument.dtype == DType::f32) append(argument.buffer.get<float>());
    if (argument.dtype == DType::f64) append(argument.buffer.get<double>());
    if (argument.dtype == DType::u8) append(argument.buffer.get<std::uint8_t>());
    if (argument.dtype == DType::i32) append(argument.buffer.get<std::int32_t>());
    if (argument.dtype == DType::i64) append(argument.buffer.get<std::int64_t>());
    if (argument.dtype == DType::bf16) {
      for (const bfloat16 value : argument.buffer.get<bfloat16>()) output.values.push_back(to_float(value));
    }
    return output;
  }
  static void read_metrics(const std::vector<StepMetrics>& slots, Outputs& outputs) {
    for (const StepMetrics& slot : slots) {
      outputs["loss_sum"].values.push_back(slot.loss_sum);
      outputs["penalty"].values.push_back(slot.penalty);
      for (const std::int64_t count : {slot.top1, slot.top5, slot.samples}) {
        outputs["counts"].values.push_back(static_cast<double>(count));
      }
    }
    outputs["loss_sum"].dtype = outputs["penalty"].dtype = DType::f64;
    outputs["counts"].dtype = DType::i64;
  }

  Backend& backend_;
  std::list<Argument> arguments_;  // addresses stay
};

}  // namespace bsq::test
