#include "tools/session/evaluate_model.h"

#include "engine/methods/weight_forms.h"
#include "engine/run/engine_notes.h"
#include "engine/training/experiment.h"
#include "kernels/base/thread_count.h"
#include "tools/session/deployed_model.h"
#include "tools/session/device.h"
#include "tools/session/model_config.h"

#include <algorithm>

namespace bsq {
Accuracies evaluate_model(const EvaluationJob& job, Backend& backend, Communicator& ranks, Console& console) {
  const Config& config = job.config;
  const bool is_calibrated = uses_calibrated_scales(job.model, config);  // or throws
  Accuracies accuracies;
  if (job.deployed != nullptr) {  // in every process the same: it takes no part in what ranks share
    const int threads = config.threads > 0 ? config.threads : default_threads().threads;
    accuracies.deployed = evaluate_deployed(*job.deployed, job.images, backend, threads, job.arithmetic);
  }
  const DType dtype = dtype_of(checked_precision(config, backend));
  DeviceMemory memory(backend);
  Model model(memory, network_for(job.model, job.images.info()), dtype, config.seed,
              store_of([&](const ArenaLayout&) { return job.weights; }));
  model.load_plain(job.model.file);
  const auto source =
      make_source(memory, job.images, "test", config.data.eval_batch_size, source_limits(config, backend, ranks));
  Evaluator evaluator(memory, model, *source, input_options(config, job.images.info()), config.data.eval_batch_size,
                      ranks);
  EngineTeller().tell(backend, console);
  accuracies.uses_batch_max = std::ranges::any_of(model.network().nodes(), [](const Node& node) {
    const std::optional<OutputQuantizer> quantizer = node.layer->quantizer();
    return quantizer && quantizer->clip < 0;
  });
  accuracies.trained = evaluator.run();
  if (is_calibrated) accuracies.calibrated = evaluator.run(ActScale::calibrated);
  return accuracies;
}

}  // namespace bsq
