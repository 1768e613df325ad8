// The input, and the head of the network: pooling, classifier, loss.
#include "bench/large_cases.h"
#include "bench/rows.h"

namespace bsq::bench {
namespace {

void add_input(RowList& list) {
  constexpr int images = 1000;
  const int batch = list.batch();
  for (const Type& type : storage_types(list)) {
    Backend& backend = *type.backend;
    const DType dtype = dtype_of(type.precision);
    for (const cases::AugmentCase& c : cases::augment_cases()) {
      if (c.layers == 0) continue;
      const double elements = 3.0 * c.height * c.width * batch;
      const int per_step = c.crop_padding > 0 ? 1 : 0;
      list.add("augment", c.name, type, per_step, {elements * (1.0 + real(size_of(dtype))), 2 * elements},
               [=, &backend](Arguments& a) {
                 const std::vector<std::uint8_t> pixels(static_cast<std::size_t>(images * 3 * c.height * c.width), 77);
                 const std::int32_t* order = a.below(images, images);
                 const BatchRows source{a.array(pixels), a.below(10, images), order, order};
                 const Shape shape{batch, c.height, c.width, 3};
                 return [=, &backend, rule = c.rule(), output = TensorView{dtype, shape, a.uniform(dtype, shape)},
                         inputs = a.step_inputs(), labels = a.below(10, batch)] {
                   backend.augment({rule, source, inputs, batch, output, labels});
                 };
               });
    }
  }
}

void add_mixing(RowList& list) {
  const int batch = list.batch();
  for (const Type& type : storage_types(list)) {
    Backend& backend = *type.backend;
    const DType dtype = dtype_of(type.precision);
    for (const cases::MixCase& c : cases::mix_cases()) {
      if (c.layers == 0) continue;
      const double elements = 3.0 * c.height * c.width * batch;
      list.add("mix_images", c.name, type, 0, {2 * elements * real(size_of(dtype)), 2 * elements},
               [=, &backend](Arguments& a) {
                 const Shape shape{batch, c.height, c.width, 3};
                 return [=, &backend, inputs = a.step_inputs({.mix = c.mix}),
                         images = TensorView{dtype, shape, a.uniform(dtype, shape)}] {
                   backend.mix_images({inputs, batch, images});
                 };
               });
    }
  }
}

void add_pools(RowList& list, const std::vector<cases::PoolCase>& pools) {
  for (cases::PoolCase c : pools) {
    if (c.layers == 0) continue;
    c.batch = list.batch();
    for (const Type& type : storage_types(list)) {
      Backend& backend = *type.backend;
      const DType dtype = dtype_of(type.precision);
      const PoolGeometry g = c.geometry(dtype);
      const Shape shape{g.batch, g.pixels, g.channels};
      const double elements = real(shape.numel());
      const Cost cost{elements * real(size_of(dtype)) + 4.0 * g.batch * g.channels, elements};
      list.add("average_pool_forward", c.name, type, 1, cost,
               [=, &backend](Arguments& a) {
                 return [=, &backend, x = a.uniform(dtype, shape), y = a.uniform(std::int64_t{g.batch} * g.channels)] {
                   backend.average_pool_forward({g, x, {}, y});
                 };
               },
               {{"batch", g.batch}, {"pixels", g.pixels}, {"channels", g.channels}});
      list.add("average_pool_backward", c.name, type, 1, cost, [=, &backend](Arguments& a) {
        return [=, &backend, dx = a.uniform(dtype, shape), dy = a.uniform(std::int64_t{g.batch} * g.channels)] {
          backend.average_pool_backward({g, dy, {}, dx});
        };
      });
    }
  }
}

/// Products of float32 tensors: bf16 does not change them, tf32 does.
std::vector<Type> product_types(const RowList& list) {
  std::vector<Type> types{float_type(list)};
  for (const Type& type : list.types())
    if (type.precision == Precision::tf32) types.push_back(type);
  return types;
}

void add_linear(RowList& list, const cases::LinearCase& c, const Type& type) {
  Backend& backend = *type.backend;
  const LinearGeometry g = c.geometry();
  const std::int64_t x = std::int64_t{g.batch} * g.in_features, y = std::int64_t{g.batch} * g.out_features;
  const std::int64_t w = std::int64_t{g.out_features} * g.in_features;
  const double product = 2.0 * real(x) * g.out_features;
  list.add("linear_forward", c.name, type, 1, {4 * real(x + y + w), product},
           [=, &backend](Arguments& a) {
             return [=, &backend, input = a.uniform(x), weight = a.uniform(w), bias = a.uniform(g.out_features),
                     output = a.uniform(y)] {
               backend.linear_forward({g, input, weight, bias, output});
             };
           },
           {{"batch", g.batch}, {"in_features", g.in_features}, {"out_features", g.out_features}});
  list.add("linear_backward", c.name, type, 1, {4 * real(2 * x + y + 2 * w), 2 * product}, [=, &backend](Arguments& a) {
    return [=, &backend, dy = a.uniform(y), input = a.uniform(x), weight = a.uniform(w), dx = a.uniform(x),
            dw = a.uniform(w), db = a.uniform(g.out_features)] {
      backend.linear_backward({g, dy, input, weight, dx, dw, db});
    };
  });
}

void add_linears(RowList& list, const std::vector<cases::LinearCase>& linears) {
  for (cases::LinearCase c : linears) {
    if (c.layers == 0) continue;
    c.batch = list.batch();
    for (const Type& type : product_types(list)) add_linear(list, c, type);
  }
}

void add_loss(RowList& list) {
  const Type type = float_type(list);
  Backend& backend = *type.backend;
  const int batch = list.batch();
  for (const cases::LossCase& c : cases::loss_cases()) {
    if (c.layers == 0) continue;
    const std::int64_t logits = std::int64_t{batch} * c.classes;
    const int per_step = c.evaluation ? 0 : 1;  // maximum, exponential, sum, quotient, rank 2
    list.add(
        "softmax_cross_entropy", c.name, type, per_step, {(c.evaluation ? 4 : 8) * real(logits), 6 * real(logits)},
        [=, &backend](Arguments& a) {
          return [=, &backend, x = a.uniform(logits), labels = a.below(c.classes, batch),
                  dx = c.evaluation ? nullptr : a.uniform(logits), inputs = a.step_inputs(), metrics = a.metrics()] {
            backend.softmax_cross_entropy({batch, c.classes, x, labels, dx, inputs, metrics});
          };
        },
        c.evaluation ? nlohmann::ordered_json{{"batch", batch}, {"classes", c.classes}} : nlohmann::ordered_json());
  }
}

}  // namespace

void add_head(RowList& list, bool large) {
  add_pools(list, large ? cases::large_pool_cases() : cases::pool_cases());
  add_linears(list, large ? cases::large_linear_cases() : cases::linear_cases());
  if (large) return;
  add_input(list);
  add_mixing(list);
  add_loss(list);
}

void add_operators(RowList& list, const std::string& shapes) {
  for (const bool large : {false, true}) {
    if (shapes == (large ? "resnet20" : "large")) continue;
    add_convolutions(list, large);
    add_norm_act(list, large);
    if (large) add_pooling(list);
    add_head(list, large);
    add_plane_networks(list, large);
    if (!large) add_fixed_and_plain(list);
    if (!large) add_joining(list);
    if (!large) add_offset_quantizers(list);
    if (!large) add_levels(list);
  }
}

}  // namespace bsq::bench
