// Which stages reports have columns for, and what their methods say of them. Reports know no stage by its name: all
// they tell apart is in the table of methods (engine/methods/methods.cpp).
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
/// Those of any of the runs.
std::vector<ShownStage> shown_stages(const std::vector<RunReport>& reports);

/// A stage that a comparison has a column of, `bsq`: what comes last, is in the column of the final model.
struct ComparedStage {
  std::string name;
  std::string title;
};
/// Those of the shown stages that need no bit widths from another.
std::vector<ComparedStage> compared_stages(const std::vector<RunReport>& reports);

/// A key that trades accuracy for bits.
struct Strength {
  std::string key;    // `bsq.alpha`
  std::string title;  // `alpha`, unless two keys end the same
};

/// Those of the shown stages.
std::vector<Strength> strengths_of(const std::vector<ShownStage>& stages);
/// The value that the run has for the key; nothing if it shows no stage with it.
std::optional<double> value_of(const Config& config, const Strength& strength);
/// `alpha 0.005, `: each strength of the run with its value.
std::string strength_words(const Config& config);

}  // namespace bsq
