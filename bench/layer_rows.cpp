// Convolutions and norm_act.
#include "bench/large_cases.h"
#include "bench/rows.h"

namespace bsq::bench {
namespace {

nlohmann::ordered_json to_json(const cases::ConvCase& c) {
  return {{"batch", c.batch},
          {"height", c.height},
          {"width", c.width},
          {"in_channels", c.in_channels},
          {"out_channels", c.out_channels},
          {"kernel", c.kernel},
          {"stride", c.stride},
          {"padding", c.padding},
          {"groups", c.groups}};
}

void add_forward(RowList& list, const cases::ConvCase& c, const Type& type) {
  Backend& backend = *type.backend;
  const ConvGeometry g = c.geometry(dtype_of(type.precision));
  const double numbers = real(g.input_shape().numel() + g.output_shape().numel() + g.weight_shape().numel());
  list.add(
      "conv2d_forward", c.name, type, c.layers, {numbers * real(size_of(g.dtype)), g.flops()},
      [=, &backend](Arguments& a) {
        return [=, &backend, x = a.uniform(g.dtype, g.input_shape()), w = a.uniform(g.dtype, g.weight_shape()),
                y = a.uniform(g.dtype, g.output_shape()),
                scratch = a.scratch(backend.conv2d_scratch_bytes({g, kForwardPass}))] {
          backend.conv2d_forward({g, x, w, y, scratch});
        };
      },
      to_json(c));
}

/// If `mode` is `accumulate`, the gradient is added to the one that is there, which is read as well.
void add_backward_data(RowList& list, const cases::ConvCase& c, const Type& type, GradMode mode) {
  Backend& backend = *type.backend;
  const bool adds = mode == GradMode::accumulate;
  const ConvGeometry g = c.geometry(dtype_of(type.precision));
  const double input = real(g.input_shape().numel());
  const double numbers = (adds ? 2 : 1) * input + real(g.output_shape().numel() + g.weight_shape().numel());
  const Cost cost{numbers * real(size_of(g.dtype)), g.flops() + (adds ? input : 0)};
  list.add(
      adds ? "conv2d_backward_data +=" : "conv2d_backward_data", c.name, type,
      adds ? c.added_gradients : c.input_gradients() - c.added_gradients, cost,
      [=, &backend](Arguments& a) {
        return [=, &backend, dy = a.uniform(g.dtype, g.output_shape()), w = a.uniform(g.dtype, g.weight_shape()),
                dx = a.uniform(g.dtype, g.input_shape()),
                scratch = a.scratch(backend.conv2d_scratch_bytes({g, {.forward = false, .backward_weight = false}}))] {
          backend.conv2d_backward_data({g, dy, w, dx, mode, scratch});
        };
      },
      adds ? nlohmann::ordered_json() : to_json(c));
}

void add_backward_weight(RowList& list, const cases::ConvCase& c, const Type& type) {
  Backend& backend = *type.backend;
  const ConvGeometry g = c.geometry(dtype_of(type.precision));
  const std::int64_t weights = g.weight_shape().numel();
  const double activations = real(g.input_shape().numel() + g.output_shape().numel());
  list.add(
      "conv2d_backward_weight", c.name, type, c.layers,
      {activations * real(size_of(g.dtype)) + 4 * real(weights), g.flops()},
      [=, &backend](Arguments& a) {
        constexpr ConvPasses passes{.forward = false, .backward_data = false};
        const ConvRequest request{g, passes};
        backend.plan_convolutions({&request, 1});
        return [=, &backend, x = a.uniform(g.dtype, g.input_shape()), dy = a.uniform(g.dtype, g.output_shape()),
                dw = a.uniform(weights), scratch = a.scratch(backend.conv2d_scratch_bytes({g, passes}))] {
          backend.conv2d_backward_weight({g, x, dy, dw, scratch});
        };
      },
      to_json(c));
}

struct NormActMemory {
  NormActMemory(Arguments& a, Backend& backend, const cases::NormActCase& c, DType dtype) {
    const NormActGeometry g = c.geometry(dtype);
    const Shape shape{g.rows, g.channels};
    const Shape wide{g.rows, g.pitch()};
    x = a.uniform(dtype, wide);
    y = a.uniform(dtype, shape);
    d_y = a.uniform(dtype, shape);
    d_x = a.uniform(dtype, wide);
    shortcut = c.shortcut ? a.uniform(dtype, shape) : nullptr;
    d_shortcut = c.shortcut ? a.uniform(dtype, shape) : nullptr;
    saved.act_scale = a.uniform(1);
    scratch = a.scratch(backend.norm_act_scratch_bytes(g));
    if (c.bias) {
      parameters.beta = a.uniform(g.channels);
      gradients.d_beta = a.uniform(g.channels);
    }
    if (learns_ceiling(c.rule.activation)) {
      parameters.clip = a.uniform(1, 5, 6);
      gradients.d_clip = a.uniform(1);
    }
    if (!c.rule.normalize) return;
    parameters.gamma = a.uniform(g.channels, 0.5F, 2);
    parameters.running_mean = a.uniform(g.channels);
    parameters.running_var = a.uniform(g.channels, 0.5F, 2);
    saved.mean = a.uniform(g.channels);
    saved.inv_std = a.uniform(g.channels);
    gradients.d_gamma = a.uniform(g.channels);
  }

  void *x, *y, *d_y, *d_x, *shortcut, *d_shortcut;
  NormParameters parameters;
  NormSaved saved;
  NormGradients gradients;
  void* scratch;
};

/// Both directions, of tensors with `elements` numbers in `bytes`.
struct NormActCosts {
  Cost forward, backward;

  NormActCosts(const cases::NormActCase& c, double elements, double bytes) {
    const int addends = c.shortcut ? 2 : 1;
    // x and y; sums 3, normalise 2, shortcut 1, clamp 2, maximum 1, quantize 3
    forward = {(addends + 1) * bytes, 12 * elements};
    // d_y, x and d_x, z from x (and the shortcut) again 3, mask 3, sums 4, d_x 5
    backward = {(2 * addends + 1) * bytes, 15 * elements};
    if (c.rule.normalize) return;
    // add 2, clamp 2, maximum 1, quantize 3; d_y, d_x, and what z needs where there is an activation: z 2, mask 3, sum
    // 1
    const bool needs_z = c.rule.activation != Activation::none;
    forward.flops = 8 * elements;
    backward = {(addends + 1 + (needs_z ? addends : 0)) * bytes, 8 * elements};
  }
};

void add_norm_act_case(RowList& list, const cases::NormActCase& c, const Type& type) {
  Backend& backend = *type.backend;
  const DType dtype = dtype_of(type.precision);
  const NormActGeometry g = c.geometry(dtype);
  const double elements = real(g.rows) * g.channels;
  const NormActCosts costs(c, elements, elements * real(size_of(dtype)));
  nlohmann::ordered_json peer = {{"rows", g.rows},
                                 {"channels", g.channels},
                                 {"shortcut", c.shortcut},
                                 {"activation", name_of(c.rule.activation)},
                                 {"act_bits", c.rule.act_bits}};
  if (!c.rule.normalize || g.x_pitch != 0) peer = nullptr;
  list.add(
      "norm_act_forward", c.name, type, c.layers, costs.forward,
      [=, &backend](Arguments& a) {
        return [=, &backend, m = NormActMemory(a, backend, c, dtype)] {
          backend.norm_act_forward({g, c.rule, m.x, m.shortcut, m.parameters, m.saved, m.y, m.scratch});
        };
      },
      peer);
  list.add(
      "norm_act_backward", c.name, type, c.layers, costs.backward,
      [=, &backend](Arguments& a) {
        const NormActMemory m(a, backend, c, dtype);
        backend.norm_act_forward({g, c.rule, m.x, m.shortcut, m.parameters, m.saved, m.y, m.scratch});
        return [=, &backend] {
          backend.norm_act_backward({g, c.rule, m.d_y, m.x, m.shortcut, m.parameters, m.saved, m.d_x, m.d_shortcut,
                                     GradMode::overwrite, GradMode::overwrite, m.gradients, m.scratch});
        };
      },
      peer);
}

}  // namespace

void add_convolutions(RowList& list, bool large) {
  for (cases::ConvCase c : large ? cases::large_conv_cases() : cases::conv_cases()) {
    if (c.layers == 0) continue;
    c.batch = list.batch();
    for (const Type& type : list.types()) {
      add_forward(list, c, type);
      if (c.input_gradients() > 0) add_backward_data(list, c, type, GradMode::overwrite);
      if (c.added_gradients > 0) add_backward_data(list, c, type, GradMode::accumulate);
      add_backward_weight(list, c, type);
    }
  }
}

void add_norm_act(RowList& list, bool large) {
  for (cases::NormActCase c : large ? cases::large_norm_act_cases() : cases::norm_act_cases()) {
    if (c.layers == 0) continue;
    c.batch = list.batch();
    for (const Type& type : storage_types(list)) add_norm_act_case(list, c, type);
  }
}

}  // namespace bsq::bench
