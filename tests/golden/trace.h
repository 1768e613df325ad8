// Reading reference traces: safetensors files that hold inputs and results of the published PyTorch code.
//
// The metadata key `kind` says what a file is; each kind has a function that replays it and compares. Layouts in files
// are PyTorch's: weights OIHW, bit planes [..., bit] with bit 0 the most significant.
#pragma once

#include "engine/files/safetensors.h"
#include "kernels/backend.h"
#include "tests/golden/comparison.h"

#include <nlohmann/json.hpp>

#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace bsq::golden {

/// Thrown where something that a trace refers to is absent; the test is then reported as skipped.
class Skipped : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

void compare_requantize_cases(const TensorFile& trace, Comparison& comparison);
void compare_activation_cases(const TensorFile& trace, Comparison& comparison);
void compare_operator_cases(const TensorFile& trace, Comparison& comparison);
void compare_lsq_cases(const TensorFile& trace, Comparison& comparison);
void compare_csq_cases(const TensorFile& trace, Comparison& comparison);
void compare_bsq_trace(const TensorFile& trace, Comparison& comparison);
void compare_finetune_trace(const TensorFile& trace, Comparison& comparison);
void compare_model_trace(const TensorFile& trace, Comparison& comparison);

/// Calls `compare` for each backend of this build that has its device; the others are noted. With BSQ_TEST_DEVICE=cuda
/// in the environment for that one alone; throws Skipped where its device is not there.
void on_every_backend(Comparison& comparison, const std::function<void(Backend&)>& compare);

/// Throws Error(checkpoint) where the key is missing.
const std::string& metadata(const TensorFile& trace, const std::string& key);

/// Of the metadata: a finite number; an integer within a range; JSON. Throw Error(checkpoint) otherwise.
double number_at(const TensorFile& trace, const std::string& key);
int integer_at(const TensorFile& trace, const std::string& key, int smallest, int largest);
nlohmann::json json_at(const TensorFile& trace, const std::string& key);

/// The float32 values of a tensor that holds this many. Throw Error(checkpoint) otherwise.
std::span<const float> values_at(const TensorFile& trace, const std::string& name, std::int64_t count);
float scalar_at(const TensorFile& trace, const std::string& name);

/// The activation of the metadata's spelling. Throws Error(checkpoint).
Activation activation_named(const std::string& name);

/// Bit planes [..., bit] as plane-major [bit][...]. Throws Error(checkpoint) unless there are 1..8 and a weight.
std::vector<float> plane_major(const HostTensor& planes);

/// The float model a training trace starts from: its `init.<name>` tensors under <name>, or else the published
/// checkpoint, BSQ_GOLDEN_CHECKPOINT or ../data/resnet20-cifar10-fp32.safetensors beside the trace's folder. Throws
/// Skipped without it.
TensorFile initial_float_model(const TensorFile& trace);

}  // namespace bsq::golden
