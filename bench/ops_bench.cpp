// Speed of every operator of kernels/backend.h on the real layers of bench/op_cases.h at batch 128, against what the
// machine can do.
//
//   ops_bench [--device=cpu] [--threads=N] [--tf32] [--cold] [Google Benchmark's flags, such as
//   --benchmark_out=FILE.json]
//
// A row is operator/case/dtype. Time is the mean; the counters come from the median of the same calls:
//   bytes/s, flop/s, items/s (images, or parameters for the weight operators), AI = flop / byte,
//   pct_roof = time the roofline allows / time, noise_pct = how far the fastest call lies below the median,
//   per_step_ms = time x how often one BSQ step of ResNet-20 does it.
// Bytes are the least any implementation must move, every argument once: a second pass over a tensor (norm_act needs
// one for its statistics and one for its maximum) shows as a lower pct_roof. Flops are nominal: padding counts, a
// winograd convolution may pass 100 %. Peaks are measured at the start, through the backend itself, best of several:
//   flop/s  a 1x1 convolution from 1024 to 1024 channels over 4096 pixels, that is a large matrix product
//   bytes/s sgd_step over 16 Mi parameters (192 MiB), which reads what it writes, so no hidden traffic
// Calls repeat on the same buffers, so small ones run from cache and may pass 100 % of memory's peak; --cold sweeps
// 256 MiB before every call.
#include "bench/op_cases.h"
#include "bench/op_suite.h"
#include "kernels/backend.h"

#include <cstdlib>
#include <iostream>
#include <string_view>

namespace bsq::bench {
namespace {

// ---- the operators, each with its cost: bytes = every argument once, flops as the formulas of backend.h need
// ----------

void add_convolutions(Suite& suite) {
  Backend& backend = suite.backend();
  for (cases::ConvCase c : cases::conv_cases()) {
    if (c.layers == 0) continue;
    c.batch = kBatch;
    for (const DType dtype : suite.dtypes()) {
      const ConvGeometry g = c.geometry(dtype);
      const std::int64_t weights = g.weight_shape().numel();
      const std::int64_t activations = g.input_shape().numel() + g.output_shape().numel();
      const Cost cost{real(activations + weights) * real(size_of(dtype)), g.flops()};
      const Cost weight_cost{real(activations) * real(size_of(dtype)) + 4 * real(weights), g.flops()};
      suite.add("conv2d_forward", c.name, dtype, c.layers, cost, [=, &backend](Arguments& a) {
        return [=, &backend, x = a.uniform(dtype, g.input_shape()), w = a.uniform(dtype, g.weight_shape()),
                y = a.uniform(dtype, g.output_shape()),
                scratch = a.scratch(backend.conv2d_scratch_bytes(g))] { backend.conv2d_forward(g, x, w, y, scratch); };
      });
      const int data_gradients = c.name == "stem" ? 0 : c.layers;  // nobody needs the gradient of the image
      suite.add("conv2d_backward_data", c.name, dtype, data_gradients, cost, [=, &backend](Arguments& a) {
        return [=, &backend, dy = a.uniform(dtype, g.output_shape()), w = a.uniform(dtype, g.weight_shape()),
                dx = a.uniform(dtype, g.input_shape()), scratch = a.scratch(backend.conv2d_scratch_bytes(g))] {
          backend.conv2d_backward_data(g, dy, w, dx, GradMode::overwrite, scratch);
        };
      });
      suite.add("conv2d_backward_weight", c.name, dtype, c.layers, weight_cost, [=, &backend](Arguments& a) {
        return [=, &backend, x = a.uniform(dtype, g.input_shape()), dy = a.uniform(dtype, g.output_shape()),
                dw = a.uniform(weights), scratch = a.scratch(backend.conv2d_scratch_bytes(g))] {
          backend.conv2d_backward_weight(g, x, dy, dw, scratch);
        };
      });
    }
  }
}

struct NormActMemory {
  NormActMemory(Arguments& a, Backend& backend, const cases::NormActCase& c, DType dtype) {
    const NormActGeometry g = c.geometry(dtype);
    const Shape shape{g.rows, g.channels};
    x = a.uniform(dtype, shape);
    y = a.uniform(dtype, shape);
    d_y = a.uniform(dtype, shape);
    d_x = a.uniform(dtype, shape);
    shortcut = c.shortcut ? a.uniform(dtype, shape) : nullptr;
    d_shortcut = c.shortcut ? a.uniform(dtype, shape) : nullptr;
    parameters = {a.uniform(g.channels, 0.5F, 2), a.uniform(g.channels), a.uniform(g.channels),
                  a.uniform(g.channels, 0.5F, 2), a.uniform(1, 5, 6)};
    saved = {a.uniform(g.channels), a.uniform(g.channels), a.uniform(1)};
    gradients = {a.uniform(g.channels), a.uniform(g.channels), nullptr};
    scratch = a.scratch(backend.norm_act_scratch_bytes(g));
    if (c.rule.activation != Activation::pact) parameters.clip = nullptr;
  }

  void *x, *y, *d_y, *d_x, *shortcut, *d_shortcut;
  NormParameters parameters;
  NormSaved saved;
  NormGradients gradients;
  void* scratch;
};

void add_norm_act(Suite& suite) {
  Backend& backend = suite.backend();
  for (cases::NormActCase c : cases::norm_act_cases()) {
    if (c.layers == 0) continue;
    c.batch = kBatch;
    for (const DType dtype : suite.dtypes()) {
      const NormActGeometry g = c.geometry(dtype);
      const double elements = real(g.rows) * g.channels;
      const double tensor_bytes = elements * real(size_of(dtype));
      // x and y; sums 3, normalise 2, shortcut 1, clamp 2, maximum 1, quantize 3
      const Cost forward{(c.shortcut ? 3 : 2) * tensor_bytes, 12 * elements};
      // d_y, x and d_x, z from x (and the shortcut) again 3, mask 3, sums 4, d_x 5
      const Cost backward{(c.shortcut ? 5 : 3) * tensor_bytes, 15 * elements};
      suite.add("norm_act_forward", c.name, dtype, c.layers, forward, [=, &backend](Arguments& a) {
        return [=, &backend, m = NormActMemory(a, backend, c, dtype)] {
          backend.norm_act_forward({g, c.rule, m.x, m.shortcut, m.parameters, m.saved, m.y, m.scratch});
        };
      });
      suite.add("norm_act_backward", c.name, dtype, c.layers, backward, [=, &backend](Arguments& a) {
        const NormActMemory m(a, backend, c, dtype);
        backend.norm_act_forward({g, c.rule, m.x, m.shortcut, m.parameters, m.saved, m.y, m.scratch});
        return [=, &backend] {
          backend.norm_act_backward({g, c.rule, m.d_y, m.x, m.shortcut, m.parameters, m.saved, m.d_x, m.d_shortcut,
                                     GradMode::overwrite, m.gradients, m.scratch});
        };
      });
    }
  }
}

void add_input_and_pool(Suite& suite) {
  Backend& backend = suite.backend();
  constexpr int images = 1000;
  for (const DType dtype : suite.dtypes()) {
    for (const cases::AugmentCase& c : cases::augment_cases()) {
      if (c.layers == 0) continue;
      const double elements = 3.0 * c.height * c.width * kBatch;
      const int per_step = c.crop_padding > 0 ? 1 : 0;
      suite.add("augment", c.name, dtype, per_step, {elements * (1.0 + real(size_of(dtype))), 2 * elements},
                [=, &backend](Arguments& a) {
                  const std::vector<std::uint8_t> pixels(static_cast<std::size_t>(images * 3 * c.height * c.width), 77);
                  const SampleSource source{a.array(pixels), a.below(10, images), a.below(images, images)};
                  const Shape shape{kBatch, c.height, c.width, 3};
                  return [=, &backend, rule = c.rule(), output = TensorView{dtype, shape, a.uniform(dtype, shape)},
                          inputs = a.step_inputs(), labels = a.below(10, kBatch)] {
                    backend.augment({rule, source, inputs, kBatch, output, labels});
                  };
                });
    }
    for (cases::PoolCase c : cases::pool_cases()) {
      if (c.layers == 0) continue;
      c.batch = kBatch;
      const PoolGeometry g = c.geometry(dtype);
      const Shape shape{g.batch, g.pixels, g.channels};
      const double elements = real(shape.numel());
      const Cost cost{elements * real(size_of(dtype)) + 4.0 * g.batch * g.channels, elements};
      suite.add("average_pool_forward", c.name, dtype, 1, cost, [=, &backend](Arguments& a) {
        return [=, &backend, x = a.uniform(dtype, shape), y = a.uniform(g.batch * g.channels)] {
          backend.average_pool_forward(g, x, {}, y);
        };
      });
      suite.add("average_pool_backward", c.name, dtype, 1, cost, [=, &backend](Arguments& a) {
        return [=, &backend, dx = a.uniform(dtype, shape), dy = a.uniform(g.batch * g.channels)] {
          backend.average_pool_backward(g, dy, {}, dx);
        };
      });
    }
  }
}

void add_head(Suite& suite) {
  Backend& backend = suite.backend();
  for (cases::LinearCase c : cases::linear_cases()) {
    if (c.layers == 0) continue;
    c.batch = kBatch;
    const LinearGeometry g = c.geometry();
    const std::int64_t x = std::int64_t{g.batch} * g.in_features, y = std::int64_t{g.batch} * g.out_features;
    const std::int64_t w = std::int64_t{g.out_features} * g.in_features;
    const double product = 2.0 * real(x) * g.out_features;
    suite.add("linear_forward", c.name, DType::f32, 1, {4 * real(x + y + w), product}, [=, &backend](Arguments& a) {
      return [=, &backend, input = a.uniform(x), weight = a.uniform(w), bias = a.uniform(g.out_features),
              output = a.uniform(y)] { backend.linear_forward(g, input, weight, bias, output); };
    });
    suite.add("linear_backward", c.name, DType::f32, 1, {4 * real(2 * x + y + 2 * w), 2 * product},
              [=, &backend](Arguments& a) {
                return [=, &backend, dy = a.uniform(y), input = a.uniform(x), weight = a.uniform(w), dx = a.uniform(x),
                        dw = a.uniform(w),
                        db = a.uniform(g.out_features)] { backend.linear_backward(g, dy, input, weight, dx, dw, db); };
              });
  }
  for (const cases::LossCase& c : cases::loss_cases()) {
    if (c.layers == 0) continue;
    const std::int64_t logits = std::int64_t{kBatch} * c.classes;
    const int per_step = c.evaluation ? 0 : 1;  // maximum, exponential, sum, quotient, rank 2
    suite.add("softmax_cross_entropy", c.name, DType::f32, per_step,
              {(c.evaluation ? 4 : 8) * real(logits), 6 * real(logits)}, [=, &backend](Arguments& a) {
                return
                    [=, &backend, x = a.uniform(logits), labels = a.below(c.classes, kBatch),
                     dx = c.evaluation ? nullptr : a.uniform(logits), inputs = a.step_inputs(), metrics = a.metrics()] {
                      backend.softmax_cross_entropy(kBatch, c.classes, x, labels, dx, inputs, metrics);
                    };
              });
  }
}

void add_planes(Suite& suite) {
  Backend& backend = suite.backend();
  for (const cases::PlaneCase& c : cases::plane_cases()) {
    if (c.numels.size() < 21) continue;  // whole networks only
    const std::vector<PlaneTensor> host = c.tensors();
    double weights = 0, planes = 0;
    for (const PlaneTensor& t : host) {
      weights += real(t.numel);
      planes += 2.0 * t.bits * real(t.numel);
    }
    // planes in, weights out; a pair (p, n): difference and weighted sum 3, squares 4; a weight: clamp 2, round 3,
    // scale 1
    const Cost forward{4 * (planes + weights), 3.5 * planes + 6 * weights, weights};
    suite.add("weights_from_planes", c.name, DType::f32, c.layers, forward, [=, &backend](Arguments& a) {
      return [=, &backend, device = a.array(host), planes = a.uniform(c.plane_arena_size(), 0, 2),
              scales = a.uniform(std::ssize(host), 0.5F, 1), weights = a.uniform(c.weight_arena_size()),
              units = a.uniform(std::ssize(host)), norms = a.uniform(c.plane_count()), inputs = a.step_inputs(),
              metrics = a.metrics(), scratch = a.scratch(backend.planes_scratch_bytes({host, nullptr}))] {
        backend.weights_from_planes({{host, device}, planes, scales, weights, units, norms, inputs, metrics, scratch});
      };
    });
    // planes and momentum in and out, dW in; an element: gradient 2, decay 2, momentum 2, step 2, clamp 2; a weight: q
    // dW
    const Cost step{16 * planes + 4 * weights, 10 * planes + 10 * weights, weights};
    suite.add("planes_step", c.name, DType::f32, c.layers, step, [=, &backend](Arguments& a) {
      return [=, &backend, device = a.array(host), planes = a.uniform(c.plane_arena_size(), 0, 2),
              momentum = a.uniform(c.plane_arena_size()), scales = a.uniform(std::ssize(host), 0.5F, 1),
              scale_momentum = a.uniform(std::ssize(host)), dw = a.uniform(c.weight_arena_size()),
              norms = a.uniform(c.plane_count(), 1, 2), inputs = a.step_inputs(),
              scratch = a.scratch(backend.planes_scratch_bytes({host, nullptr}))] {
        backend.planes_step(
            {{host, device}, c.rule, c.alpha, inputs, dw, norms, planes, momentum, scales, scale_momentum, scratch});
      };
    });
  }
}

void add_fixed_and_plain(Suite& suite) {
  Backend& backend = suite.backend();
  for (const cases::FixedCase& c : cases::fixed_cases()) {
    if (c.layers == 0) continue;
    const std::vector<FixedTensor> host = c.tensors();
    double weights = 0;
    for (const FixedTensor& t : host) weights += real(t.numel);
    // finetuning, not BSQ training: 0 times a step. u in, weights out; clamp 2, round 3, scale 1
    suite.add("weights_from_fixed", c.name, DType::f32, 0, {8 * weights, 6 * weights, weights},
              [=, &backend](Arguments& a) {
                return [=, &backend, device = a.array(host), u = a.uniform(c.arena_size()),
                        scales = a.uniform(std::ssize(host), 0.5F, 1), weights = a.uniform(c.arena_size())] {
                  backend.weights_from_fixed({{host, device}, u, scales, weights});
                };
              });
    // u and momentum in and out, dW in; gradient 1, decay 2, momentum 2, step 2, clamp 2, q dW 7
    suite.add("fixed_step", c.name, DType::f32, 0, {20 * weights, 16 * weights, weights}, [=, &backend](Arguments& a) {
      return [=, &backend, device = a.array(host), dw = a.uniform(c.arena_size()), u = a.uniform(c.arena_size()),
              momentum = a.uniform(c.arena_size()), scales = a.uniform(std::ssize(host), 0.5F, 1),
              scale_momentum = a.uniform(std::ssize(host)), inputs = a.step_inputs(),
              scratch = a.scratch(backend.fixed_scratch_bytes({host, nullptr}))] {
        backend.fixed_step({{host, device}, c.rule, inputs, dw, u, momentum, scales, scale_momentum, scratch});
      };
    });
  }
  for (const cases::SgdCase& c : cases::sgd_cases()) {
    if (c.layers == 0) continue;
    const double n = real(c.numel);  // float training, not BSQ training; decay 2, momentum 2, step 2
    suite.add("sgd_step", c.name, DType::f32, 0, {20 * n, 6 * n, n}, [=, &backend](Arguments& a) {
      return [=, &backend, inputs = a.step_inputs(), g = a.uniform(c.numel), x = a.uniform(c.numel),
              v = a.uniform(c.numel)] { backend.sgd_step(c.numel, c.rule, inputs, g, x, v); };
    });
  }
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);  // takes its own flags away
  std::string device = "cpu";
  BackendOptions options;
  bool cold = false;
  for (const std::string_view argument : std::vector<std::string_view>(argv + 1, argv + argc)) {
    if (argument.starts_with("--device=")) {
      device = argument.substr(9);
    } else if (argument.starts_with("--threads=")) {
      options.threads = std::atoi(argument.data() + 10);
    } else if (argument == "--tf32") {
      options.allow_tf32 = true;
    } else if (argument == "--cold") {
      cold = true;
    } else {
      std::cerr << fmt::format("ops_bench: unknown argument {}\n", argument);
      return 2;
    }
  }
  const std::unique_ptr<Backend> backend = make_backend(device, options);
  Suite suite(*backend, cold);
  add_convolutions(suite);
  add_norm_act(suite);
  add_input_and_pool(suite);
  add_head(suite);
  add_planes(suite);
  add_fixed_and_plain(suite);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace bsq::bench

int main(int argc, char** argv) {
  try {
    return bsq::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
