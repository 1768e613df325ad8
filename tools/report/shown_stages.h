// Which stages reports have columns for, and what their methods say of them. Reports know no stage by its name: all
// that they show about one comes from the table of methods (engine/methods/methods.cpp).
#pragma once

#include "engine/config/config_schema.h"
#include "engine/methods/method.h"
#include "tools/report/run_report.h"

#include <optional>
#include <string>
#include <vector>

namespace bsq {

/// A stage that trains.
struct ShownStage {
  std::string name;
  StageWidths widths;
  MethodDescription method;
};

/// The stages that train and that the run lists, in the order of the table. If all of them are standard, the other
/// standard ones too, so that all runs of the standard chain, or of a part of it, have the same columns.
std::vector<StageChoice> stages_to_show(const Config& config);
/// The same, with what their methods say.
std::vector<ShownStage> shown_stages(const Config& config);
/// The stages to show of any of these runs.
std::vector<ShownStage> shown_stages(const std::vector<RunReport>& reports);

/// A stage that a comparison has a column for.
struct ComparedStage {
  std::string name;   // `pretrain`
  std::string title;  // in small letters, as in `bsq %` and `top1_bsq`
  bool is_float = false;
};
/// The shown stages, without those that need bit widths from another: these come last, where a comparison shows the
/// final model.
std::vector<ComparedStage> compared_stages(const std::vector<RunReport>& reports);

/// How a run comes to its quantized model.
struct RunMethod {
  std::string title;  // `BSQ`, `LSQ`; of several in a row `BSQ, LSQ`; of a run without such a stage what it has
  std::string stage;  // the last of these stages; empty: no stage trains
};
RunMethod method_of_run(const Config& config);

/// A key that trades accuracy for bits.
struct Strength {
  std::string key;    // `bsq.alpha`
  std::string title;  // `alpha`, or the whole key if another one ends the same
};

/// The strengths of these stages.
std::vector<Strength> strengths_of(const std::vector<ShownStage>& stages);
/// Those of a run: of the stages that it shows. If it finds widths itself, those that it does not run have no part.
std::vector<Strength> strengths_of(const Config& config);
/// Those of any of these runs: runs of one stage may have different ones, alpha or a budget.
std::vector<Strength> strengths_of(const std::vector<RunReport>& reports);
/// The value of the key in a run; nothing if the run has no such strength.
std::optional<double> value_of(const Config& config, const Strength& strength);
/// `alpha 0.005`, `alpha 0.005, target_bits 3`: each strength of the run with its value, if `wanted` has it.
std::string strength_list(const Config& config, const std::vector<Strength>& wanted);
/// `alpha 0.005, `: each strength of the run with its value.
std::string strength_words(const Config& config);

}  // namespace bsq
