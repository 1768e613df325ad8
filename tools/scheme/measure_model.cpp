#include "tools/scheme/measure_model.h"

#include "engine/run/engine_notes.h"
#include "engine/training/evaluator.h"
#include "engine/training/experiment.h"
#include "tools/scheme/hessian_trace.h"
#include "tools/session/model_config.h"

namespace bsq {

Sensitivity measure_model(const MeasurementPlan& plan, Backend& backend, Communicator& communicator, Console& console) {
  const OpenModel& opened = plan.model;
  const Config& config = plan.config;
  DeviceMemory memory(backend);
  DenseWeights* store = nullptr;
  const StoreMaker make_store = [&](DeviceMemory& device, const ArenaLayout& layout, const float* gradients) {
    auto dense = std::make_unique<DenseWeights>(device, layout, gradients, *opened.weights);
    store = dense.get();
    return dense;
  };
  Model model(memory, network_for(opened, plan.images.info()), dtype_of(checked_precision(config, backend)),
              config.seed, make_store);
  model.load_plain(opened.file);
  const auto source = make_source(memory, plan.images, plan.set, config.data.eval_batch_size,
                                  source_limits(config, backend, communicator));
  Evaluator evaluator(memory, model, *source, input_options(config, plan.images.info()), config.data.eval_batch_size,
                      communicator);
  EngineTeller().tell(backend, console);
  const ActScale scale = uses_calibrated_scales(opened, config) ? ActScale::calibrated : ActScale::batch_max;

  const std::vector<SchemeLayer> layers = scheme_layers(opened);
  Sensitivity result{.model = opened.file.path.string(),
                     .network = title_of(opened.spec),
                     .set = plan.set,
                     .images = plan.images.size(),
                     .batch_size = config.data.eval_batch_size,
                     .precision = config.precision,
                     .act_bits = config.quant.act_bits};
  ProgressLine progress(console, "sensitivity", measured_widths(layers) + plan.probes * std::ssize(layers));
  std::int64_t done = 0;
  const SensitivityMeasurement how{.store = *store,
                                   .layout = model.quantized_layout(),
                                   .weights = *opened.weights,
                                   .loss = [&] { return evaluator.run(scale).loss(); },
                                   .measured = [&](const std::string& layer) { progress.update(++done, layer); }};
  measure(how, layers, result);
  if (plan.probes > 0) measure_traces(how, layers, {.probes = plan.probes, .seed = config.seed}, result);
  return result;
}

}  // namespace bsq
