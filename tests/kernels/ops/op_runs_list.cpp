// A run of every operation of kernels/ops/operations.def, on a case of a few elements. See op_runs.h.
#include "tests/kernels/ops/op_runs.h"

namespace bsq::test {
namespace {

template <typename Case>
Case named(const std::vector<Case>& cases, const std::string& name) {
  for (const Case& c : cases)
    if (c.name == name) return c;
  throw std::logic_error("no case is called " + name);
}

std::vector<OperationRun> runs_on_activations() {
  const auto conv = named(cases::conv_cases(), "strided, odd size");
  const auto norm_act = named(cases::norm_act_cases(), "relu6, 0 bits, shortcut");
  const auto pool = named(cases::pool_cases(), "one image, one channel");
  const auto max_pool = named(cases::max_pool_cases(), "2x2, odd size, 3 channels");
  const auto average = named(cases::window_average_cases(), "2x2, odd size, 5 channels");
  const auto flat = named(cases::flatten_cases(), "36 pixels, 3 channels");
  const auto linear = named(cases::linear_cases(), "5 to 3");
  const auto concat = named(cases::concat_cases(), "1 of 2, units");
  const auto dropout = named(cases::dropout_cases(), "15");
  const auto offset_quantizer = named(cases::offset_quantizer_cases(), "17 numbers, 2 bits");
  const auto loss = named(cases::loss_cases(), "fewer than 5 classes");
  const auto augment = named(cases::augment_cases(), "flip alone");
  const auto mix = named(cases::mix_cases(), "boxes, odd batch");
  constexpr DType f32 = DType::f32;
  constexpr GradMode mode = GradMode::accumulate;
  const auto conv_backward = [=](Backend& backend) {
    return run_conv_backward(backend, conv.geometry(f32), make_inputs(conv), mode);
  };
  const auto norm_act_of = [=](auto run) {
    return [=](Backend& backend) {
      return run(backend, norm_act.geometry(f32), norm_act.rule, make_inputs(norm_act, f32));
    };
  };
  const auto linear_of = [=](auto run) {
    return [=](Backend& backend) { return run(backend, linear.geometry(), make_inputs(linear)); };
  };
  const auto geometry_of = [=](const auto& c, auto run, auto... rest) {
    return [=](Backend& backend) { return run(backend, c.geometry(f32), make_inputs(c), rest...); };
  };
  return {
      {"take_step_inputs", run_take_step_inputs},
      {"augment",
       [=](Backend& backend) {
         StepInputs step;
         step.first_sample = augment.first_sample;
         step.epoch = augment.epoch;
         return run_augment(backend, augment.rule(), augment.batch, step, f32, make_inputs(augment));
       }},
      {"mix_images", [=](Backend& backend) { return run_mix(backend, mix, f32, make_inputs(mix)); }},
      {"conv2d_forward",
       [=](Backend& backend) { return run_conv_forward(backend, conv.geometry(f32), make_inputs(conv)); }},
      {"conv2d_backward_data", conv_backward},
      {"conv2d_backward_weight", conv_backward},
      {"norm_act_forward", norm_act_of([](auto&&... of) { return run_norm_act_forward(of...); })},
      {"norm_act_backward", norm_act_of([](auto&&... of) { return run_norm_act_backward(of..., kAccumulateBoth); })},
      {"max_pool_forward", geometry_of(max_pool, run_max_pool_forward)},
      {"max_pool_backward", geometry_of(max_pool, run_max_pool_backward, mode)},
      {"window_average_forward", geometry_of(average, run_window_average_forward)},
      {"window_average_backward", geometry_of(average, run_window_average_backward, mode)},
      {"flatten_forward", geometry_of(flat, run_flatten_forward)},
      {"flatten_backward", geometry_of(flat, run_flatten_backward, mode)},
      {"average_pool_forward", geometry_of(pool, run_pool_forward)},
      {"average_pool_backward", geometry_of(pool, run_pool_backward, mode)},
      {"concat_forward",
       [=](Backend& backend) { return run_concat_forward(backend, concat.geometry(f32), make_inputs(concat)); }},
      {"concat_backward",
       [=](Backend& backend) { return run_concat_backward(backend, concat.geometry(f32), make_inputs(concat), mode); }},
      {"dropout_forward",
       [=](Backend& backend) { return run_dropout_forward(backend, dropout, f32, make_inputs(dropout)); }},
      {"dropout_backward",
       [=](Backend& backend) { return run_dropout_backward(backend, dropout, f32, make_inputs(dropout), mode); }},
      {"offset_quantizer_forward", geometry_of(offset_quantizer, run_offset_quantizer_forward)},
      {"offset_quantizer_backward", geometry_of(offset_quantizer, run_offset_quantizer_backward, mode)},
      {"linear_forward", linear_of(run_linear_forward)},
      {"linear_backward", linear_of([=](auto&&... of) { return run_linear_backward(of..., mode); })},
      {"softmax_cross_entropy",
       [=](Backend& backend) { return run_loss(backend, loss.batch, loss.classes, false, make_inputs(loss)); }},
  };
}

std::vector<OperationRun> runs_on_levels() {
  const auto conv = named(cases::level_conv_cases(), "2 groups of 3");
  const auto sum = named(cases::level_sum_cases(), "one level");
  const auto maximum = named(cases::level_maximum_cases(), "one pixel, padding");
  const auto concat = named(cases::level_concat_cases(), "17 of 23");
  const auto image = named(cases::level_image_cases(), "7x7, 17 channels");
  const auto of = [](const auto& c, auto run) {
    return [=](Backend& backend) { return run(backend, c, make_inputs(c)); };
  };
  return {{"pixels_to_levels", run_pixels_to_levels},
          {"convolve_levels", of(conv, run_convolve_levels)},
          {"add_levels", of(sum, run_add_levels)},
          {"max_pool_levels", of(maximum, run_max_pool_levels)},
          {"concat_levels", of(concat, run_concat_levels)},
          {"flatten_levels", of(image, run_flatten_levels)},
          {"classify_levels", of(image, run_classify_levels)}};
}

std::vector<OperationRun> runs_on_weights() {
  const auto planes = named(cases::plane_cases(), "no penalty, no momentum");
  const auto fixed = named(cases::fixed_cases(), "plain descent");
  const auto lsq = named(cases::lsq_cases(), "plain descent");
  const auto dorefa = named(cases::dorefa_cases(), "plain descent");
  const auto msq = named(cases::msq_cases(), "plain descent, no penalty");
  const auto csq = named(cases::csq_cases(), "plain descent");
  const auto sgd = named(cases::sgd_cases(), "17");
  const auto clip = named(cases::clip_cases(), "tails with gaps");
  const auto average = named(cases::average_cases(), "tails");
  const auto planes_of = [=](auto run) {
    return [=](Backend& backend) { return run(backend, planes, make_inputs(planes)); };
  };
  const auto fixed_of = [=](auto run) {
    return [=](Backend& backend) { return run(backend, fixed, make_inputs(fixed)); };
  };
  const auto lsq_of = [=](auto run) { return [=](Backend& backend) { return run(backend, lsq, make_inputs(lsq)); }; };
  const auto dorefa_of = [=](auto run) {
    return [=](Backend& backend) { return run(backend, dorefa, make_inputs(dorefa)); };
  };
  const auto msq_of = [=](auto run) { return [=](Backend& backend) { return run(backend, msq, make_inputs(msq)); }; };
  const auto csq_of = [=](auto run) { return [=](Backend& backend) { return run(backend, csq, make_inputs(csq)); }; };
  return {
      {"round_to_bf16",
       [](Backend& backend) {
         return run_round_to_bf16(backend, {1.001F, -3, 0});
       }},
      {"weights_from_planes", planes_of(run_weights_from_planes)},
      {"planes_step", planes_of(run_planes_step)},
      {"weights_from_fixed", fixed_of(run_weights_from_fixed)},
      {"fixed_step", fixed_of(run_fixed_step)},
      {"weights_from_lsq", lsq_of(run_weights_from_lsq)},
      {"lsq_step", lsq_of(run_lsq_step)},
      {"weights_from_dorefa", dorefa_of(run_weights_from_dorefa)},
      {"dorefa_step", dorefa_of(run_dorefa_step)},
      {"weights_from_msq", msq_of(run_weights_from_msq)},
      {"msq_step", msq_of(run_msq_step)},
      {"weights_from_csq", csq_of(run_weights_from_csq)},
      {"csq_step", csq_of(run_csq_step)},
      {"count_planes", planes_of(run_count_planes)},
      {"count_fixed", fixed_of(run_count_fixed)},
      {"sgd_step", [=](Backend& backend) { return run_sgd_step(backend, sgd.rule, make_inputs(sgd)); }},
      {"clip_gradients", [=](Backend& backend) { return run_clip_gradients(backend, clip, make_inputs(clip)); }},
      {"update_average", [=](Backend& backend) { return run_update_average(backend, average, make_inputs(average)); }},
  };
}

}  // namespace

std::vector<OperationRun> operation_runs() {
  std::vector<OperationRun> runs = runs_on_activations();
  for (OperationRun& run : runs_on_levels()) runs.push_back(std::move(run));
  for (OperationRun& run : runs_on_weights()) runs.push_back(std::move(run));
  return runs;
}

}  // namespace bsq::test
