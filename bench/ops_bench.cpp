// Speed of every operator of kernels/backend.h on real layers (bench/op_cases.h, bench/large_cases.h), against what the
// machine can do.
//
//   ops_bench [--device=cpu] [--threads=N] [--batch=128] [--shapes=resnet20|large|all] [--cold] [--tf32] [--quick]
//             [Google Benchmark's flags, such as --benchmark_out=FILE.json]
//
// A row is operator/case/dtype; --tf32: only the products that tf32 changes, as rows named tf32. --quick: 2 calls a row
// and no peaks worth the name, to see that everything runs. Time is the mean; the counters come from the median of the
// same calls:
//   bytes/s, flop/s, items/s (images, or parameters for the weight operators), AI = flop / byte,
//   pct_flops, pct_bytes = of the measured peaks, pct_roof = time the roofline allows / time,
//   noise_pct = how far the fastest call lies below the median,
//   per_step_ms = time x how often one BSQ step of ResNet-20 does it (once for a large shape).
// Bytes are the least any implementation must move, every argument once: a second pass over a tensor (norm_act needs
// one for its statistics and one for its maximum) shows as a lower pct_roof. Flops are nominal: padding counts, a
// winograd convolution may pass 100 %. Peaks are measured at the start, through the backend itself, best of several:
//   flop/s  a 1x1 convolution from 1024 to 1024 channels over 4096 pixels (65536 on a GPU): a large matrix product
//   bytes/s sgd_step over 16 Mi parameters (320 MiB of traffic), which reads what it writes, so no hidden traffic
// Calls repeat on the same buffers, so small ones run from cache and may pass 100 % of memory's peak; --cold clears
// 256 MiB, more than any cache, before every call.
//
// Time is the device's own (Backend::device_seconds). On a GPU warm calls are replays of a graph that holds as many as
// last about 2 ms, so that neither launches nor the events show; a cold call is enqueued while the device still clears,
// which hides its launches, and has two events around it: a microsecond or two that are not its own. What the clearing
// leaves in the cache has to be written back first, during the call.
#include "bench/large_cases.h"
#include "bench/op_suite.h"
#include "kernels/backend.h"
#include "kernels/error.h"

#include <cstdlib>
#include <iostream>

namespace bsq::bench {
namespace {

/// What is measured; ResNet-20 alone has the operators that are not listed.
struct Shapes {
  std::vector<cases::ConvCase> convolutions;
  std::vector<cases::NormActCase> norms;
  std::vector<cases::PoolCase> pools;
  std::vector<cases::LinearCase> linears;
  std::vector<cases::PlaneCase> planes;
};

Shapes resnet20_shapes() {
  const auto real_layers = [](auto all) {
    std::erase_if(all, [](const auto& c) { return c.layers == 0; });
    return all;
  };
  Shapes shapes{real_layers(cases::conv_cases()), real_layers(cases::norm_act_cases()),
                real_layers(cases::pool_cases()), real_layers(cases::linear_cases()), cases::plane_cases()};
  std::erase_if(shapes.planes, [](const cases::PlaneCase& c) { return c.numels.size() < 21; });  // whole networks only
  return shapes;
}

Shapes large_shapes() {
  return {cases::large_conv_cases(), cases::large_norm_act_cases(), cases::large_pool_cases(),
          cases::large_linear_cases(), cases::large_plane_cases()};
}

// ---- the operators, each with its cost: bytes = every argument once, flops as the formulas of backend.h need
// ----------

void add_convolutions(Suite& suite, const std::vector<cases::ConvCase>& convolutions) {
  Backend& backend = suite.backend();
  for (cases::ConvCase c : convolutions) {
    c.batch = suite.batch();
    for (const DType dtype : suite.dtypes()) {
      const ConvGeometry g = c.geometry(dtype);
      const std::int64_t weights = g.weight_shape().numel();
      const std::int64_t activations = g.input_shape().numel() + g.output_shape().numel();
      const Cost cost{real(activations + weights) * real(size_of(dtype)), g.flops()};
      const Cost weight_cost{real(activations) * real(size_of(dtype)) + 4 * real(weights), g.flops()};
      suite.add("conv2d_forward", c.name, dtype, c.layers, cost, [=, &backend](Arguments& a) {
        return [=, &backend, x = a.uniform(dtype, g.input_shape()), w = a.uniform(dtype, g.weight_shape()),
                y = a.uniform(dtype, g.output_shape()),
                scratch = a.scratch(backend.conv2d_scratch_bytes(g, kForwardPass))] {
          backend.conv2d_forward(g, x, w, y, scratch);
        };
      });
      const int data_gradients = c.name == "stem" ? 0 : c.layers;  // nobody needs the gradient of the image
      suite.add("conv2d_backward_data", c.name, dtype, data_gradients, cost, [=, &backend](Arguments& a) {
        return [=, &backend, dy = a.uniform(dtype, g.output_shape()), w = a.uniform(dtype, g.weight_shape()),
                dx = a.uniform(dtype, g.input_shape()),
                scratch = a.scratch(backend.conv2d_scratch_bytes(g, {.forward = false, .backward_weight = false}))] {
          backend.conv2d_backward_data(g, dy, w, dx, GradMode::overwrite, scratch);
        };
      });
      suite.add("conv2d_backward_weight", c.name, dtype, c.layers, weight_cost, [=, &backend](Arguments& a) {
        constexpr ConvPasses passes{.forward = false, .backward_data = false};
        const ConvRequest request{g, passes, true};  // as in a training step
        backend.plan_convolutions({&request, 1});
        return [=, &backend, x = a.uniform(dtype, g.input_shape()), dy = a.uniform(dtype, g.output_shape()),
                dw = a.uniform(weights), scratch = a.scratch(backend.conv2d_scratch_bytes(g, passes))] {
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

void add_norm_act(Suite& suite, const std::vector<cases::NormActCase>& norms) {
  Backend& backend = suite.backend();
  for (cases::NormActCase c : norms) {
    c.batch = suite.batch();
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

void add_input(Suite& suite) {
  Backend& backend = suite.backend();
  constexpr int images = 1000;
  const int batch = suite.batch();
  for (const DType dtype : suite.dtypes()) {
    for (const cases::AugmentCase& c : cases::augment_cases()) {
      if (c.layers == 0) continue;
      const double elements = 3.0 * c.height * c.width * batch;
      const int per_step = c.crop_padding > 0 ? 1 : 0;
      suite.add("augment", c.name, dtype, per_step, {elements * (1.0 + real(size_of(dtype))), 2 * elements},
                [=, &backend](Arguments& a) {
                  const std::vector<std::uint8_t> pixels(static_cast<std::size_t>(images * 3 * c.height * c.width), 77);
                  const SampleSource source{a.array(pixels), a.below(10, images), a.below(images, images)};
                  const Shape shape{batch, c.height, c.width, 3};
                  return [=, &backend, rule = c.rule(), output = TensorView{dtype, shape, a.uniform(dtype, shape)},
                          inputs = a.step_inputs(), labels = a.below(10, batch)] {
                    backend.augment({rule, source, inputs, batch, output, labels});
                  };
                });
    }
  }
}

void add_pools(Suite& suite, const std::vector<cases::PoolCase>& pools) {
  Backend& backend = suite.backend();
  for (cases::PoolCase c : pools) {
    c.batch = suite.batch();
    for (const DType dtype : suite.dtypes()) {
      const PoolGeometry g = c.geometry(dtype);
      const Shape shape{g.batch, g.pixels, g.channels};
      const double elements = real(shape.numel());
      const Cost cost{elements * real(size_of(dtype)) + 4.0 * g.batch * g.channels, elements};
      suite.add("average_pool_forward", c.name, dtype, 1, cost, [=, &backend](Arguments& a) {
        return [=, &backend, x = a.uniform(dtype, shape), y = a.uniform(std::int64_t{g.batch} * g.channels)] {
          backend.average_pool_forward(g, x, {}, y);
        };
      });
      suite.add("average_pool_backward", c.name, dtype, 1, cost, [=, &backend](Arguments& a) {
        return [=, &backend, dx = a.uniform(dtype, shape), dy = a.uniform(std::int64_t{g.batch} * g.channels)] {
          backend.average_pool_backward(g, dy, {}, dx);
        };
      });
    }
  }
}

void add_linears(Suite& suite, const std::vector<cases::LinearCase>& linears) {
  Backend& backend = suite.backend();
  for (cases::LinearCase c : linears) {
    c.batch = suite.batch();
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
}

void add_loss(Suite& suite) {
  Backend& backend = suite.backend();
  const int batch = suite.batch();
  for (const cases::LossCase& c : cases::loss_cases()) {
    if (c.layers == 0) continue;
    const std::int64_t logits = std::int64_t{batch} * c.classes;
    const int per_step = c.evaluation ? 0 : 1;  // maximum, exponential, sum, quotient, rank 2
    suite.add("softmax_cross_entropy", c.name, DType::f32, per_step,
              {(c.evaluation ? 4 : 8) * real(logits), 6 * real(logits)}, [=, &backend](Arguments& a) {
                return
                    [=, &backend, x = a.uniform(logits), labels = a.below(c.classes, batch),
                     dx = c.evaluation ? nullptr : a.uniform(logits), inputs = a.step_inputs(), metrics = a.metrics()] {
                      backend.softmax_cross_entropy(batch, c.classes, x, labels, dx, inputs, metrics);
                    };
              });
  }
}

void add_planes(Suite& suite, const std::vector<cases::PlaneCase>& networks) {
  Backend& backend = suite.backend();
  for (const cases::PlaneCase& c : networks) {
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
    suite.add("round_to_bf16", c.name, DType::f32, 0, {6 * n, n, n}, [=, &backend](Arguments& a) {
      return [=, &backend, x = a.uniform(c.numel), y = a.scratch(static_cast<std::size_t>(2 * c.numel))] {
        backend.round_to_bf16(c.numel, x, y);
      };
    });
  }
}

struct Options {
  std::string device = "cpu";
  std::string shapes = "resnet20";
  BackendOptions backend;
  SuiteOptions suite;
};

Options parse(const std::vector<std::string>& arguments) {
  Options options;
  for (const std::string& argument : arguments) {
    const std::size_t equals = argument.find('=');
    const std::string key = argument.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : argument.substr(equals + 1);
    if (key == "--device") {
      options.device = value;
    } else if (key == "--shapes" && (value == "resnet20" || value == "large" || value == "all")) {
      options.shapes = value;
    } else if (key == "--threads") {
      options.backend.threads = std::atoi(value.c_str());
    } else if (key == "--batch" && std::atoi(value.c_str()) > 0) {
      options.suite.batch = std::atoi(value.c_str());
    } else if (argument == "--tf32") {
      options.backend.allow_tf32 = options.suite.tf32 = true;
    } else if (argument == "--quick") {
      options.suite.quick = true;
    } else if (argument == "--cold") {
      options.suite.cold = true;
    } else {
      fail(ErrorKind::usage, "ops_bench: unknown argument {}; see the first lines of bench/ops_bench.cpp", argument);
    }
  }
  return options;
}

void run(const Options& options) {
  const std::unique_ptr<Backend> backend = make_backend(options.device, options.backend);
  std::string why;
  if (options.suite.tf32 && !backend->supports(Precision::tf32, why)) fail(ErrorKind::device, "--tf32: {}", why);
  Suite suite(*backend, options.suite);
  benchmark::AddCustomContext("shapes", options.shapes);
  for (const char* name : {"resnet20", "large"}) {
    if (options.shapes != name && options.shapes != "all") continue;
    const bool resnet20 = name == std::string("resnet20");
    const Shapes shapes = resnet20 ? resnet20_shapes() : large_shapes();
    add_convolutions(suite, shapes.convolutions);
    add_linears(suite, shapes.linears);
    if (options.suite.tf32) continue;
    add_norm_act(suite, shapes.norms);
    add_pools(suite, shapes.pools);
    add_planes(suite, shapes.planes);
    if (!resnet20) continue;
    add_input(suite);
    add_loss(suite);
    add_fixed_and_plain(suite);
  }
  benchmark::RunSpecifiedBenchmarks();
  if (suite.failed()) fail(ErrorKind::device, "ops_bench: not every row could be measured, see above");
}

}  // namespace
}  // namespace bsq::bench

int main(int argc, char** argv) {
  try {
    benchmark::Initialize(&argc, argv);  // takes its own flags away
    bsq::bench::run(bsq::bench::parse({argv + 1, argv + argc}));
    return 0;
  } catch (const bsq::Error& error) {
    std::cerr << error.what() << '\n';
    return error.exit_code();
  }
}
