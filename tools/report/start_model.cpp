// Following model.init from run to run.
#include "tools/report/start_model.h"

#include "data/datasets.h"
#include "engine/config/config_schema.h"
#include "kernels/base/error.h"
#include "tools/session/run_files.h"

#include <fmt/format.h>

namespace bsq {
namespace {

namespace fs = std::filesystem;

constexpr int kLongestChain = 16;  // of runs, one begun with the model of the other; longer ones may be rings

/// A checkpoint of a stage.
struct StageModel {
  std::size_t stage = 0;  // its place in the run
  bool is_best = false;   // not the one of its end
};

/// By its folder, `checkpoints/bsq_best`. Nothing for others, such as the state to resume from, and for a whole run.
std::optional<StageModel> stage_model_of(const RunReport& run, const fs::path& checkpoint) {
  for (const fs::path& part : {checkpoint.filename(), checkpoint.parent_path().filename()})
    for (std::size_t i = 0; i < run.stages.size(); ++i)
      for (const bool is_best : {false, true})
        if (part == run.stages[i].name + (is_best ? "_best" : "")) return StageModel{i, is_best};
  return std::nullopt;
}

/// What the run did until this model was there, in words that differ if a key does, its seed apart.
std::string kind_of(const RunReport& run, const std::optional<StageModel>& model, const std::string& start_kind) {
  Config config = run.config;
  if (model) config.stages.resize(std::min(model->stage + 1, config.stages.size()));
  std::string text = model && model->is_best ? "best of" : "end of";
  for (const ConfigKey& key : config.schema().keys()) {
    const bool is_of_later_stage = config.find_stage(key.section()) != nullptr && !config.runs(key.section());
    if (!matters(key) || !key.applies_to(config) || is_of_later_stage) continue;
    const bool is_start = key.name == "model.init" && !start_kind.empty();
    text += fmt::format(" {}={}", key.name, is_start ? start_kind : to_text(key.field.get(config)));
  }
  return "(" + text + ")";
}

StartModel follow(const RunReport& report, int runs_left) {
  const fs::path init = with_paths_of(report.path, report.config, {}).model.init;
  if (init.empty() || runs_left == 0) return {};
  const std::optional<fs::path> folder = run_of_checkpoint(init);
  if (!folder) return {};
  RunReport run = read_run_logs(*folder);
  if (describe_test_set(run.config) != describe_test_set(report.config)) return {};
  const std::optional<StageModel> model = stage_model_of(run, init);
  const StartModel before = follow(run, runs_left - 1);
  StartModel start{.float_top1 = {}, .kind = kind_of(run, model, before.kind)};
  if (report.config.model.has_fresh_classifier()) return start;  // which has another accuracy than that model
  if (model) run.stages.resize(model->stage + 1);                // what came later is not known to this one
  if (model && run.stages.back().is_float() && run.stages.back().result && !model->is_best)
    start.float_top1 = run.stages.back().result->test_top1;
  else if (const std::optional<FloatAccuracy> own = run.float_accuracy())
    start.float_top1 = own->top1;
  else
    start.float_top1 = before.float_top1;
  return start;
}

}  // namespace

bool matters(const ConfigKey& key) {
  return !key.may_change_on_resume && key.name != "seed" && key.name != "name";
}

StartModel start_of(const RunReport& report) {
  try {
    return follow(report, kLongestChain);
  } catch (const Error&) {
    return {};  // this run can be reported without the other one
  } catch (const fs::filesystem_error&) {
    return {};
  }
}

}  // namespace bsq
