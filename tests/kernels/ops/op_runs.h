// One run of one operator on one backend, from a case of bench/op_cases.h: what goes in, and a function that calls the
// operator between guards and returns all it wrote. Parity and gradient tests share them.
#pragma once

#include "bench/op_cases.h"
#include "tests/support/run_memory.h"

#include <functional>

namespace bsq::test {

struct ConvInputs {
  std::vector<float> input, weight, d_output, d_input_before;
};
ConvInputs make_inputs(const cases::ConvCase& c);
Outputs run_conv_forward(Backend& backend, const ConvGeometry& geometry, const ConvInputs& inputs);
Outputs run_conv_backward(Backend& backend, const ConvGeometry& geometry, const ConvInputs& inputs, GradMode mode);

struct NormActInputs {
  std::vector<float> x, shortcut, gamma, beta, running_mean, running_var, clip, d_y, d_x_before, d_shortcut_before;
  std::vector<float> input_bias;             // [C], or empty; beta may be empty too where nothing is normalized
  std::vector<float> x_unit, shortcut_unit;  // [2] and [1], or empty; with units y is stored as levels where quantized
  std::vector<float> act_scale;              // [1], or empty: max|y|
  std::vector<float> term_range = {}, shortcut_range = {}, y_range = {};  // [2], or empty: not rounded
  BatchSlice* slice = nullptr;
};
/// The shortcut is empty where the case has none. d_y is 0 where z is within 1e-4 of a kink of the activation: there
/// a backend may rightly take either side.
NormActInputs make_inputs(const cases::NormActCase& c, DType dtype);
/// Every tensor here is dense, d_x of the outputs too: where the geometry has a pitch, what lies between the rows of x
/// and d_x is NaN, and must be afterwards.
/// Whether y and d_x are buffers of their own or take the place of x and d_y; d_x_and_shortcut: d_shortcut is d_x,
/// which takes the mode of x, and then what is added for the shortcut.
enum class Place { separate, in_place, d_x_and_shortcut };
/// How backward writes d_x and d_shortcut.
struct NormActModes {
  GradMode x = GradMode::overwrite;
  GradMode shortcut = GradMode::overwrite;
};
constexpr NormActModes kOverwriteBoth{};
constexpr NormActModes kAccumulateBoth{GradMode::accumulate, GradMode::accumulate};
Outputs run_norm_act_forward(Backend& backend, const NormActGeometry& geometry, const NormActRule& rule,
                             const NormActInputs& inputs, Place place = Place::separate);
/// Runs forward first, for what it saves.
Outputs run_norm_act_backward(Backend& backend, const NormActGeometry& geometry, const NormActRule& rule,
                              const NormActInputs& inputs, const NormActModes& modes, Place place = Place::separate);

/// A convolution that is told of the norm behind it, and that norm. `norm.x` is not looked at.
Outputs run_conv_norm_forward(Backend& backend, const ConvGeometry& geometry, const ConvInputs& conv,
                              const NormActRule& rule, const NormActInputs& norm);
/// A norm forward, the convolution behind it backward, which is told of the norm, and the norm backward. `norm.d_y` is
/// not looked at: the convolution writes it, or adds to conv.d_input_before.
Outputs run_conv_norm_backward(Backend& backend, const ConvGeometry& geometry, const ConvInputs& conv,
                               const NormActRule& rule, const NormActInputs& norm, GradMode mode);

/// A convolution, a norm and the convolution that reads it, each told of its neighbours, and the filter gradient of the
/// second one. `told`: of the norm's only reader as well, so that y may not be written.
Outputs run_norm_between_convs(Backend& backend, const ConvGeometry& first, const ConvInputs& first_inputs,
                               const NormActRule& rule, const NormActInputs& norm, const ConvGeometry& second,
                               const ConvInputs& second_inputs, bool told);

/// The product of up to two factors; none: no unit.
TensorUnit place_unit(RunMemory& memory, const std::string& name, const std::vector<float>& factors);

/// Of the operations that read an image and have a unit of it: average_pool, window_average, flatten; and of max_pool.
struct ConcatInputs {
  std::vector<float> input, d_output, output_before, d_input_before;  // with what lies between rows
  std::vector<float> unit;                                            // [2], or empty
};
ConcatInputs make_inputs(const cases::ConcatCase& c);
/// What of the output nobody places stays as it is before.
Outputs run_concat_forward(Backend& backend, const ConcatGeometry& geometry, const ConcatInputs& inputs);
Outputs run_concat_backward(Backend& backend, const ConcatGeometry& geometry, const ConcatInputs& inputs,
                            GradMode mode);

struct DropoutInputs {
  std::vector<float> input, d_output, d_input_before;
  std::vector<float> unit;            // [2], or empty
  std::vector<std::int32_t> samples;  // the numbers of those of an epoch
  std::uint64_t seed = 0x123456789ABCDEFULL;
  std::uint32_t stream = 5;
};
DropoutInputs make_inputs(const cases::DropoutCase& c);
Outputs run_dropout_forward(Backend& backend, const cases::DropoutCase& c, DType dtype, const DropoutInputs& inputs);
Outputs run_dropout_backward(Backend& backend, const cases::DropoutCase& c, DType dtype, const DropoutInputs& inputs,
                             GradMode mode);

struct OffsetQuantizerInputs {
  std::vector<float> input, d_output, d_input_before;
  std::vector<float> step, offset;  // [1]
  float gain = 1;
};
OffsetQuantizerInputs make_inputs(const cases::OffsetQuantizerCase& c);
Outputs run_offset_quantizer_forward(Backend& backend, const OffsetQuantizerGeometry& geometry,
                                     const OffsetQuantizerInputs& inputs);
Outputs run_offset_quantizer_backward(Backend& backend, const OffsetQuantizerGeometry& geometry,
                                      const OffsetQuantizerInputs& inputs, GradMode mode);

/// Contents as the operations on levels take them; what a case has no use for is empty.
struct LevelInputs {
  std::vector<std::uint8_t> x, x1, table, output_before;
  std::vector<std::int8_t> k;
  std::vector<std::int16_t> head_k;
  std::vector<std::int32_t> start;
  std::vector<float> multiplier, offset;  // multiplier: the scale of a head
};
Outputs run_pixels_to_levels(Backend& backend);  // gray pictures, and of three colors
LevelInputs make_inputs(const cases::LevelConvCase& c);
Outputs run_convolve_levels(Backend& backend, const cases::LevelConvCase& c, const LevelInputs& inputs);
LevelInputs make_inputs(const cases::LevelSumCase& c);
Outputs run_add_levels(Backend& backend, const cases::LevelSumCase& c, const LevelInputs& inputs);
LevelInputs make_inputs(const cases::LevelMaximumCase& c);
Outputs run_max_pool_levels(Backend& backend, const cases::LevelMaximumCase& c, const LevelInputs& inputs);
LevelInputs make_inputs(const cases::LevelConcatCase& c);
Outputs run_concat_levels(Backend& backend, const cases::LevelConcatCase& c, const LevelInputs& inputs);
LevelInputs make_inputs(const cases::LevelImageCase& c);
Outputs run_flatten_levels(Backend& backend, const cases::LevelImageCase& c, const LevelInputs& inputs);
Outputs run_classify_levels(Backend& backend, const cases::LevelImageCase& c, const LevelInputs& inputs);

struct PoolInputs {
  std::vector<float> input, d_output;
  std::vector<float> d_input_before = {};
  std::vector<float> unit = {};  // [2], or empty
};
PoolInputs make_inputs(const cases::PoolCase& c);
Outputs run_pool_forward(Backend& backend, const PoolGeometry& geometry, const PoolInputs& inputs);
Outputs run_pool_backward(Backend& backend, const PoolGeometry& geometry, const PoolInputs& inputs,
                          GradMode mode = GradMode::overwrite);

/// Numbers of MaxPoolCase::levels, or no two alike, at least 1 apart.
PoolInputs make_inputs(const cases::MaxPoolCase& c);
Outputs run_max_pool_forward(Backend& backend, const MaxPoolGeometry& geometry, const PoolInputs& inputs);
/// Runs forward first, for the winners.
Outputs run_max_pool_backward(Backend& backend, const MaxPoolGeometry& geometry, const PoolInputs& inputs,
                              GradMode mode = GradMode::overwrite);
PoolInputs make_inputs(const cases::WindowAverageCase& c);
Outputs run_window_average_forward(Backend& backend, const WindowAverageGeometry& geometry, const PoolInputs& inputs);
Outputs run_window_average_backward(Backend& backend, const WindowAverageGeometry& geometry, const PoolInputs& inputs,
                                    GradMode mode = GradMode::overwrite);
PoolInputs make_inputs(const cases::FlattenCase& c);
Outputs run_flatten_forward(Backend& backend, const FlattenGeometry& geometry, const PoolInputs& inputs);
Outputs run_flatten_backward(Backend& backend, const FlattenGeometry& geometry, const PoolInputs& inputs,
                             GradMode mode = GradMode::overwrite);

struct LinearInputs {
  std::vector<float> input, weight, bias, d_output;
  std::vector<float> d_input_before = {};
  std::vector<float> unit = {};  // [2], or empty
};
LinearInputs make_inputs(const cases::LinearCase& c);
Outputs run_linear_forward(Backend& backend, const LinearGeometry& geometry, const LinearInputs& inputs);
Outputs run_linear_backward(Backend& backend, const LinearGeometry& geometry, const LinearInputs& inputs,
                            GradMode mode = GradMode::overwrite);

struct LossInputs {
  std::vector<float> logits;
  std::vector<std::int32_t> labels;
  float label_smoothing = 0;
  std::vector<float> teacher = {};  // as logits; empty: nobody teaches
  float teacher_weight = 0;
  float temperature = 1;
  float mixed_weight = 1;  // below 1: the images are mixed
};
LossInputs make_inputs(const cases::LossCase& c);
Outputs run_loss(Backend& backend, int batch, int classes, bool evaluation, const LossInputs& inputs);

struct AugmentInputs {
  std::vector<std::uint8_t> images;
  std::vector<std::int32_t> labels, rows, samples;
};
AugmentInputs make_inputs(const cases::AugmentCase& c);
Outputs run_augment(Backend& backend, const AugmentRule& rule, int batch, StepInputs step, DType dtype,
                    const AugmentInputs& inputs);

struct MixInputs {
  std::vector<float> images;
};
MixInputs make_inputs(const cases::MixCase& c);
Outputs run_mix(Backend& backend, const cases::MixCase& c, DType dtype, const MixInputs& inputs);

/// plane_norms are those of `planes`. d_weights is 0 where a weight sits at a rounding boundary: there a backend may
/// rightly round either way, and sum(q dW) would differ.
struct PlaneInputs {
  std::vector<float> planes, momentum, scales, scale_momentum, d_weights, plane_norms;
  float learning_rate = 0.1F;
};
PlaneInputs make_inputs(const cases::PlaneCase& c);
Outputs run_weights_from_planes(Backend& backend, const cases::PlaneCase& c, const PlaneInputs& inputs);
/// counts: zeros, NaNs, even levels and the ones of eight planes, tensor after tensor.
Outputs run_count_planes(Backend& backend, const cases::PlaneCase& c, const PlaneInputs& inputs);
/// What the step moves; the penalty before it is 0.625.
Outputs run_planes_step(Backend& backend, const cases::PlaneCase& c, const PlaneInputs& inputs);
/// And the effective weights that it leaves, as run_weights_from_planes has them.
Outputs run_planes_step_to_weights(Backend& backend, const cases::PlaneCase& c, const PlaneInputs& inputs);

/// d_weights as in PlaneInputs.
struct FixedInputs {
  std::vector<float> u, momentum, scales, scale_momentum, d_weights;
  float learning_rate = 0.1F;
};
FixedInputs make_inputs(const cases::FixedCase& c);
Outputs run_weights_from_fixed(Backend& backend, const cases::FixedCase& c, const FixedInputs& inputs);
Outputs run_count_fixed(Backend& backend, const cases::FixedCase& c, const FixedInputs& inputs);
Outputs run_fixed_step(Backend& backend, const cases::FixedCase& c, const FixedInputs& inputs);

/// Steps so small that some weights lie outside.
struct LsqInputs {
  std::vector<float> w, momentum, steps, step_momentum, d_weights;
  float learning_rate = 0.1F;
};
LsqInputs make_inputs(const cases::LsqCase& c);
Outputs run_weights_from_lsq(Backend& backend, const cases::LsqCase& c, const LsqInputs& inputs);
Outputs run_lsq_step(Backend& backend, const cases::LsqCase& c, const LsqInputs& inputs);

struct DorefaInputs {
  std::vector<float> v, momentum, d_weights;
  float learning_rate = 0.1F;
};
DorefaInputs make_inputs(const cases::DorefaCase& c);
/// peaks: height and index, tensor after tensor.
Outputs run_weights_from_dorefa(Backend& backend, const cases::DorefaCase& c, const DorefaInputs& inputs);
/// With the peaks that the same backend finds.
Outputs run_dorefa_step(Backend& backend, const cases::DorefaCase& c, const DorefaInputs& inputs);

struct MsqInputs {
  std::vector<float> u, momentum, scales, scale_momentum, d_weights;
  float learning_rate = 0.1F;
};
MsqInputs make_inputs(const cases::MsqCase& c);
Outputs run_weights_from_msq(Backend& backend, const cases::MsqCase& c, const MsqInputs& inputs);
Outputs run_msq_step(Backend& backend, const cases::MsqCase& c, const MsqInputs& inputs);

struct CsqInputs {
  std::vector<float> planes, momentum, scales, scale_momentum, masks, mask_momentum, d_weights;
  CsqBudget budget = {4.5, 0.625};  // of a step
  float learning_rate = 0.1F;
};
CsqInputs make_inputs(const cases::CsqCase& c);
Outputs run_weights_from_csq(Backend& backend, const cases::CsqCase& c, const CsqInputs& inputs);
Outputs run_csq_step(Backend& backend, const cases::CsqCase& c, const CsqInputs& inputs);

struct SgdInputs {
  std::vector<float> parameter, momentum, gradient;
  std::vector<std::uint8_t> marks = {};  // of SgdStepArgs, or empty
  float learning_rate = 0.1F;
};
SgdInputs make_inputs(const cases::SgdCase& c);
Outputs run_sgd_step(Backend& backend, const SgdRule& rule, const SgdInputs& inputs);
/// Random where somebody has them, and one unit per tensor.
struct ClipInputs {
  std::vector<float> gradients, units;
};
ClipInputs make_inputs(const cases::ClipCase& c);
Outputs run_clip_gradients(Backend& backend, const cases::ClipCase& c, const ClipInputs& inputs);

struct AverageInputs {
  std::vector<float> values, averages;  // arenas
};
AverageInputs make_inputs(const cases::AverageCase& c);
Outputs run_update_average(Backend& backend, const cases::AverageCase& c, const AverageInputs& inputs);
Outputs run_round_to_bf16(Backend& backend, const std::vector<float>& values);

/// Takes the second of three.
Outputs run_take_step_inputs(Backend& backend);

/// A run of one operation of kernels/ops/operations.def.
struct OperationRun {
  std::string operation;
  std::function<Outputs(Backend&)> run;
};
/// Of all of them: whoever adds an operation adds its run.
std::vector<OperationRun> operation_runs();

}  // namespace bsq::test
