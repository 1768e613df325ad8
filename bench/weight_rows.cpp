// The passes over the weights of a whole network: bit planes, fixed-point weights, plain parameters.
#include "bench/large_cases.h"
#include "bench/rows.h"
#include "engine/base/text.h"

#include <fmt/format.h>

#include <numeric>

namespace bsq::bench {
namespace {

std::size_t stored_bytes(WeightStorage storage) {
  return size_of(storage == WeightStorage::integers_bf16 ? DType::bf16 : DType::f32);
}

/// The rows say `type`, whatever that is: the arithmetic is float32.
void add_planes(RowList& list, const cases::PlaneCase& c, const Type& type) {
  Backend& backend = *type.backend;
  const std::vector<PlaneTensor> host = c.tensors();
  double weights = 0, planes = 0;
  for (const PlaneTensor& t : host) {
    weights += real(t.numel);
    planes += 2.0 * t.bits * real(t.numel);
  }
  // planes in, weights out; a pair (p, n): difference and weighted sum 3, squares 4; a weight: clamp 2, round 3,
  // scale 1
  const Cost forward{4 * planes + real(stored_bytes(c.storage)) * weights, 3.5 * planes + 6 * weights, weights};
  list.add("weights_from_planes", c.name, type, 0, forward, [=, &backend](Arguments& a) {
    return [=, &backend, device = a.array(host), planes = a.uniform(c.plane_arena_size(), 0, 2),
            scales = a.uniform(std::ssize(host), 0.5F, 1), weights = a.uniform(c.weight_arena_size()),
            units = a.uniform(std::ssize(host)), norms = a.uniform(c.plane_count()),
            penalty = a.array(std::vector<double>(1)),
            scratch = a.scratch(backend.planes_scratch_bytes({host, nullptr}))] {
      backend.weights_from_planes({{host, device}, planes, scales, weights, units, norms, penalty, scratch});
    };
  });
  // planes and momentum in and out, dW in, the next weights out; an element: gradient 2, decay 2, momentum 2, step 2,
  // clamp 2, its part of the next weights 3.5; a weight: q dW, and its next level
  const double stored = real(stored_bytes(c.storage)) * weights;
  const Cost step{.bytes = 16 * planes + 4 * weights + stored,
                  .flops = 13.5 * planes + 16 * weights,
                  .items = weights,
                  .footprint_bytes = 8 * planes + 4 * weights + stored};
  list.add("planes_step", c.name, type, c.layers, step, [=, &backend](Arguments& a) {
    return [=, &backend, device = a.array(host), planes = a.uniform(c.plane_arena_size(), 0, 2),
            momentum = a.uniform(c.plane_arena_size()), scales = a.uniform(std::ssize(host), 0.5F, 1),
            scale_momentum = a.uniform(std::ssize(host)), dw = a.uniform(c.weight_arena_size()),
            weights = a.uniform(c.weight_arena_size()), units = a.uniform(std::ssize(host)),
            norms = a.uniform(c.plane_count(), 1, 2), penalty = a.array(std::vector<double>(1)),
            inputs = a.step_inputs({.method = {c.alpha}}), metrics = a.metrics(),
            scratch = a.scratch(backend.planes_scratch_bytes({host, nullptr}))] {
      backend.planes_step({.tensors = {host, device},
                           .rule = c.rule,
                           .inputs = inputs,
                           .d_weights = dw,
                           .planes = planes,
                           .plane_momentum = momentum,
                           .scales = scales,
                           .scale_momentum = scale_momentum,
                           .weights = weights,
                           .weight_units = units,
                           .plane_norms = norms,
                           .penalty = penalty,
                           .metrics = metrics,
                           .scratch = scratch});
    };
  });
}

void add_fixed(RowList& list, const cases::FixedCase& c, const Type& type) {
  Backend& backend = *type.backend;
  const std::vector<FixedTensor> host = c.tensors();
  double weights = 0;
  for (const FixedTensor& t : host) weights += real(t.numel);
  // finetuning, not BSQ training: 0 times per step. u in, weights out; clamp 2, round 3, scale 1
  list.add("weights_from_fixed", c.name, type, 0, {(4 + real(stored_bytes(c.storage))) * weights, 6 * weights, weights},
           [=, &backend](Arguments& a) {
             return [=, &backend, device = a.array(host), u = a.uniform(c.arena_size()),
                     scales = a.uniform(std::ssize(host), 0.5F, 1), weights = a.uniform(c.arena_size()),
                     units = a.uniform(std::ssize(host))] {
               backend.weights_from_fixed({{host, device}, u, scales, weights, units});
             };
           });
  // u and momentum in and out, dW in; gradient 1, decay 2, momentum 2, step 2, clamp 2, q dW 7
  list.add("fixed_step", c.name, type, 0,
           {.bytes = 20 * weights, .flops = 16 * weights, .items = weights, .footprint_bytes = 12 * weights},
           [=, &backend](Arguments& a) {
             return [=, &backend, device = a.array(host), dw = a.uniform(c.arena_size()), u = a.uniform(c.arena_size()),
                     momentum = a.uniform(c.arena_size()), scales = a.uniform(std::ssize(host), 0.5F, 1),
                     scale_momentum = a.uniform(std::ssize(host)), inputs = a.step_inputs(),
                     scratch = a.scratch(backend.fixed_scratch_bytes({host, nullptr}))] {
               backend.fixed_step({{host, device}, c.rule, inputs, dw, u, momentum, scales, scale_momentum, scratch});
             };
           });
}

void add_lsq(RowList& list, const cases::LsqCase& c, const Type& type) {
  Backend& backend = *type.backend;
  const std::vector<LsqTensor> host = c.tensors();
  double weights = 0;
  for (const LsqTensor& t : host) weights += real(t.numel);
  // as finetuning, 0 times per step. w in, weights out; quotient 1, clamp 2, round 2, step 1
  list.add("weights_from_lsq", c.name, type, 0, {(4 + real(stored_bytes(c.storage))) * weights, 6 * weights, weights},
           [=, &backend](Arguments& a) {
             return [=, &backend, device = a.array(host), w = a.uniform(c.arena_size()),
                     steps = a.uniform(c.steps(), 0.05F, 0.1F), weights = a.uniform(c.arena_size()),
                     units = a.uniform(std::ssize(host))] {
               backend.weights_from_lsq({{host, device}, w, steps, weights, units});
             };
           });
  // w and momentum in and out, dW in; quotient, clamp and round 5, compare 1, gradient 1, decay 2, momentum 2, step 2,
  // what s moves 3
  list.add("lsq_step", c.name, type, 0,
           {.bytes = 20 * weights, .flops = 16 * weights, .items = weights, .footprint_bytes = 12 * weights},
           [=, &backend](Arguments& a) {
             return [=, &backend, device = a.array(host), dw = a.uniform(c.arena_size()), w = a.uniform(c.arena_size()),
                     momentum = a.uniform(c.arena_size()), steps = a.uniform(c.steps(), 0.05F, 0.1F),
                     step_momentum = a.uniform(c.steps()), inputs = a.step_inputs(),
                     scratch = a.scratch(backend.lsq_scratch_bytes({host, nullptr}))] {
               backend.lsq_step({{host, device}, c.rule, inputs, dw, w, momentum, steps, step_momentum, scratch});
             };
           });
}

void add_dorefa(RowList& list, const cases::DorefaCase& c, const Type& type) {
  Backend& backend = *type.backend;
  const std::vector<DorefaTensor> host = c.tensors();
  double weights = 0;
  for (const DorefaTensor& t : host) weights += real(t.numel);
  // v in twice, weights out; tanh 21, twice, largest 1, quotient and level 6
  list.add("weights_from_dorefa", c.name, type, 0,
           {(8 + real(stored_bytes(c.storage))) * weights, 49 * weights, weights}, [=, &backend](Arguments& a) {
             return [=, &backend, device = a.array(host), v = a.uniform(c.arena_size()),
                     weights = a.uniform(c.arena_size()), units = a.uniform(std::ssize(host)),
                     peaks = a.array(std::vector<DorefaPeak>(host.size())),
                     scratch = a.scratch(backend.dorefa_scratch_bytes({host, nullptr}))] {
               backend.weights_from_dorefa({{host, device}, v, weights, units, peaks, scratch});
             };
           });
  // v and momentum in and out, dW in; tanh 21, dW h 2, gradient 4, decay 2, momentum 2, step 2
  list.add("dorefa_step", c.name, type, 0,
           {.bytes = 20 * weights, .flops = 33 * weights, .items = weights, .footprint_bytes = 12 * weights},
           [=, &backend](Arguments& a) {
             return [=, &backend, device = a.array(host), dw = a.uniform(c.arena_size()), v = a.uniform(c.arena_size()),
                     momentum = a.uniform(c.arena_size()), inputs = a.step_inputs(),
                     peaks = a.array(std::vector<DorefaPeak>(host.size(), {.height = 0.9F})),
                     scratch = a.scratch(backend.dorefa_scratch_bytes({host, nullptr}))] {
               backend.dorefa_step({{host, device}, c.rule, inputs, dw, peaks, v, momentum, scratch});
             };
           });
}

void add_msq(RowList& list, const cases::MsqCase& c, const Type& type) {
  Backend& backend = *type.backend;
  const std::vector<MsqTensor> host = c.tensors();
  double weights = 0;
  for (const MsqTensor& t : host) weights += real(t.numel);
  // u in, weights out; level 4, s q 2
  list.add("weights_from_msq", c.name, type, 0, {(4 + real(stored_bytes(c.storage))) * weights, 6 * weights, weights},
           [=, &backend](Arguments& a) {
             return [=, &backend, device = a.array(host), u = a.uniform(c.arena_size()),
                     scales = a.uniform(std::ssize(host), 0.5F, 1), weights = a.uniform(c.arena_size()),
                     units = a.uniform(std::ssize(host))] {
               backend.weights_from_msq({{host, device}, u, scales, weights, units});
             };
           });
  // u and momentum in and out, dW in; two levels 8, last bit 2, sign 2, k / 2^n dW 3, gradient 2, decay 2,
  // momentum 2, step 2, clamp 2
  list.add("msq_step", c.name, type, 0,
           {.bytes = 20 * weights, .flops = 25 * weights, .items = weights, .footprint_bytes = 12 * weights},
           [=, &backend](Arguments& a) {
             return [=, &backend, device = a.array(host), dw = a.uniform(c.arena_size()), u = a.uniform(c.arena_size()),
                     momentum = a.uniform(c.arena_size()), scales = a.uniform(std::ssize(host), 0.5F, 1),
                     scale_momentum = a.uniform(std::ssize(host)), inputs = a.step_inputs(),
                     scratch = a.scratch(backend.msq_scratch_bytes({host, nullptr}))] {
               backend.msq_step({{host, device}, c.rule, inputs, dw, u, momentum, scales, scale_momentum, scratch});
             };
           });
}

void add_csq(RowList& list, const cases::CsqCase& c, const Type& type) {
  Backend& backend = *type.backend;
  const std::vector<CsqTensor> host = c.tensors();
  double weights = 0, planes = 0;
  for (const CsqTensor& t : host) {
    weights += real(t.numel);
    planes += 2.0 * t.bits * real(t.numel);
  }
  // 0 times per step of BSQ training. planes in, weights out; a gate: an exponential of 16, sum and quotient 3; its
  // part of the weight 1.5
  list.add("weights_from_csq", c.name, type, 0, {4 * planes + 4 * weights, 20.5 * planes + weights, weights},
           [=, &backend](Arguments& a) {
             return [=, &backend, device = a.array(host), inputs = a.step_inputs({.method = c.numbers.to_method()}),
                     planes = a.uniform(c.plane_arena_size(), 0, 1), scales = a.uniform(std::ssize(host), 0.5F, 1),
                     masks = a.uniform(c.mask_count()), weights = a.uniform(c.weight_arena_size()),
                     budget = a.array(std::vector<CsqBudget>(1))] {
               backend.weights_from_csq({{host, device}, inputs, planes, scales, masks, weights, budget});
             };
           });
  // planes and momentum in and out, dW in; a gate and its slope 22, S_b 1.5, gradient 2, decay 2, momentum 2, step 2
  list.add("csq_step", c.name, type, 0,
           {.bytes = 16 * planes + 4 * weights,
            .flops = 31.5 * planes,
            .items = weights,
            .footprint_bytes = 8 * planes + 4 * weights},
           [=, &backend](Arguments& a) {
             return [=, &backend, device = a.array(host), inputs = a.step_inputs({.method = c.numbers.to_method()}),
                     dw = a.uniform(c.weight_arena_size()), budget = a.array(std::vector<CsqBudget>(1)),
                     planes = a.uniform(c.plane_arena_size(), 0, 1), momentum = a.uniform(c.plane_arena_size()),
                     scales = a.uniform(std::ssize(host), 0.5F, 1), scale_momentum = a.uniform(std::ssize(host)),
                     masks = a.uniform(c.mask_count()), mask_momentum = a.uniform(c.mask_count()),
                     metrics = a.metrics(), scratch = a.scratch(backend.csq_scratch_bytes({host, nullptr}))] {
               backend.csq_step({.tensors = {host, device},
                                 .rule = c.rule,
                                 .inputs = inputs,
                                 .d_weights = dw,
                                 .budget = budget,
                                 .planes = planes,
                                 .plane_momentum = momentum,
                                 .scales = scales,
                                 .scale_momentum = scale_momentum,
                                 .masks = masks,
                                 .mask_momentum = mask_momentum,
                                 .metrics = metrics,
                                 .scratch = scratch});
             };
           });
}

/// Moving averages: number and average are read, the average is written; a number: difference, product, sum.
void add_average(RowList& list, const cases::AverageCase& c, const Type& type) {
  Backend& backend = *type.backend;
  const double n = real(std::reduce(c.numels.begin(), c.numels.end(), std::int64_t{0}));
  list.add("update_average", c.name, type, 0, {.bytes = 12 * n, .flops = 3 * n, .items = n, .footprint_bytes = 8 * n},
           [=, &backend](Arguments& a) {
             const std::vector<AveragedTensor> host = c.tensors(a.uniform(c.arena_size()));
             return [=, &backend, device = a.array(host), averages = a.uniform(c.arena_size())] {
               backend.update_average({{host, device}, c.weight, averages});
             };
           });
}

/// Gradients that are clipped: read twice, written once; a number: square and sum 2, product 1.
void add_clipping(RowList& list, const cases::ClipCase& c, const Type& type) {
  Backend& backend = *type.backend;
  const std::vector<GradientTensor> host = c.tensors(nullptr);
  const double n = real(std::reduce(c.numels.begin(), c.numels.end(), std::int64_t{0}));
  list.add("clip_gradients", c.name, type, 0, {.bytes = 12 * n, .flops = 3 * n, .items = n, .footprint_bytes = 4 * n},
           [=, &backend](Arguments& a) {
             return [=, &backend, device = a.array(host), g = a.uniform(c.arena_size()),
                     scratch = a.scratch(backend.clip_scratch_bytes({host, nullptr}))] {
               backend.clip_gradients({{host, device}, c.max_norm, g, scratch});
             };
           });
}

/// One small filter, the weights of ResNet-20, one large filter.
std::vector<std::vector<std::int64_t>> networks() {
  return {{9 * 16 * 16}, cases::resnet20_numels(), {9 * 512 * 512}};
}

}  // namespace

void add_plane_networks(RowList& list, bool large) {
  for (const cases::PlaneCase& c : large ? cases::large_plane_cases() : cases::plane_cases())
    if (large || c.numels == cases::resnet20_numels()) add_planes(list, c, float_type(list));
}

void add_plane_sweep(RowList& list) {
  constexpr std::int64_t alignment = 16;
  for (const std::vector<std::int64_t>& numels : networks()) {
    const std::string size = with_thousands(std::reduce(numels.begin(), numels.end(), std::uint64_t{})) + " weights";
    for (const Type& type : storage_types(list)) {
      const WeightStorage storage =
          type.precision == Precision::bf16 ? WeightStorage::integers_bf16 : WeightStorage::integers;
      for (int bits = 1; bits <= kMaxBits; ++bits) {
        cases::PlaneCase c{fmt::format("{}, {} bit{}", size, bits, bits > 1 ? "s" : ""), 0, numels,
                           cases::cycle_bits(numels.size(), {bits}), alignment};
        c.storage = storage;
        add_planes(list, c, type);
      }
      cases::FixedCase fixed{size, 0, numels, cases::cycle_bits(numels.size(), {kMaxBits}), alignment};
      fixed.storage = storage;
      add_fixed(list, fixed, type);
      cases::LsqCase lsq{size, 0, numels, cases::cycle_bits(numels.size(), {kMaxBits}), alignment};
      lsq.storage = storage;
      add_lsq(list, lsq, type);
      cases::DorefaCase dorefa{size, 0, numels, cases::cycle_bits(numels.size(), {kMaxBits}), alignment};
      dorefa.storage = storage;
      add_dorefa(list, dorefa, type);
      cases::MsqCase msq{size, 0, numels, cases::cycle_bits(numels.size(), {kMaxBits}), alignment};
      msq.storage = storage;
      add_msq(list, msq, type);
    }
  }
}

void add_fixed_and_plain(RowList& list) {
  const Type type = float_type(list);
  Backend& backend = *type.backend;
  for (const cases::FixedCase& c : cases::fixed_cases())
    if (c.layers > 0) add_fixed(list, c, type);
  for (const cases::LsqCase& c : cases::lsq_cases())
    if (c.layers > 0) add_lsq(list, c, type);
  for (const cases::DorefaCase& c : cases::dorefa_cases())
    if (c.layers > 0) add_dorefa(list, c, type);
  for (const cases::MsqCase& c : cases::msq_cases())
    if (c.layers > 0) add_msq(list, c, type);
  for (const cases::CsqCase& c : cases::csq_cases())
    if (c.layers > 0) add_csq(list, c, type);
  for (const cases::ClipCase& c : cases::clip_cases())
    if (c.layers > 0) add_clipping(list, c, type);
  for (const cases::AverageCase& c : cases::average_cases())
    if (c.layers > 0) add_average(list, c, type);
  for (const cases::SgdCase& c : cases::sgd_cases()) {
    if (c.layers == 0) continue;
    const double n = real(c.numel);  // float training, not BSQ training; decay 2, momentum 2, step 2
    list.add("sgd_step", c.name, type, 0, {.bytes = 20 * n, .flops = 6 * n, .items = n, .footprint_bytes = 12 * n},
             [=, &backend](Arguments& a) {
               return [=, &backend, inputs = a.step_inputs(), g = a.uniform(c.numel), x = a.uniform(c.numel),
                       v = a.uniform(c.numel)] {
                 backend.sgd_step({c.numel, c.rule, inputs, g, x, v});
               };
             });
    list.add("round_to_bf16", c.name, type, 0, {6 * n, n, n}, [=, &backend](Arguments& a) {
      return [=, &backend, x = a.uniform(c.numel), y = a.scratch(static_cast<std::size_t>(2 * c.numel))] {
        backend.round_to_bf16({c.numel, x, y});
      };
    });
  }
}

}  // namespace bsq::bench
