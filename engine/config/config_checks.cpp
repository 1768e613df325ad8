// Conflicts between keys (errors) and combinations that are legal but probably not meant (warnings).
#include "engine/config/config_checks.h"

#include "engine/config/config_schema.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

namespace bsq {
namespace {

struct NamedStage {
  std::string name;
  const StageConfig& settings;
};

/// The stages that train, whether or not they are listed to run.
std::vector<NamedStage> training_stages(const Config& config) {
  std::vector<NamedStage> stages;
  for (const StageChoice& stage : config.schema().stages())
    if (const StageConfig* settings = config.find_stage(stage.name)) stages.push_back({stage.name, *settings});
  return stages;
}

StageWidths widths_of(const Config& config, const std::string& stage) {
  return config.schema().find_stage(stage)->widths;
}

/// The stages that find bit widths for others, `convert or bsq`.
std::string finders_of_widths(const Config& config) {
  std::vector<std::string> finders;
  for (const StageChoice& stage : config.schema().stages())
    if (stage.widths == StageWidths::finds && !stage.stands_alone) finders.push_back(stage.name);
  return fmt::format("{}", fmt::join(finders, " or "));
}

void check_stages_alone(const Config& config, std::vector<Conflict>& conflicts) {
  for (const std::string& alone : config.stages) {
    if (!config.schema().find_stage(alone)->stands_alone) continue;
    for (const std::string& stage : config.stages)
      if (stage != alone && widths_of(config, stage) != StageWidths::none)
        conflicts.push_back({{"stages"},
                             fmt::format("stages = {}; {} trains float weights on a grid of its own, which {} does not "
                                         "have; leave one of them out",
                                         to_text(config.stages), alone, stage)});
  }
}

void check_stage_order(const Config& config, std::vector<Conflict>& conflicts) {
  std::vector<std::string> order;
  for (const StageChoice& stage : config.schema().stages()) order.push_back(stage.name);
  const std::string start = fmt::format("stages = {}; ", to_text(config.stages));
  if (config.stages.empty()) {
    conflicts.push_back({{"stages"}, start + fmt::format("list at least one of {}", fmt::join(order, ", "))});
  }
  const auto rank = [&](const std::string& stage) { return std::find(order.begin(), order.end(), stage); };
  for (std::size_t i = 1; i < config.stages.size(); ++i) {
    const std::string &stage = config.stages[i], &previous = config.stages[i - 1];
    if (widths_of(config, previous) == StageWidths::none && widths_of(config, stage) == StageWidths::needs) {
      conflicts.push_back(
          {{"stages"}, start + fmt::format("{} needs bit widths; put {} before it", stage, finders_of_widths(config))});
      return;
    }
    if (rank(previous) < rank(stage)) continue;
    const std::string what = stage == previous ? fmt::format("{} is listed twice", stage)
                                               : fmt::format("{} cannot follow {}", stage, previous);
    conflicts.push_back({{"stages"}, start + fmt::format("{}, the order is {}", what, fmt::join(order, ", "))});
    return;
  }
}

void check_stage_settings(const Config& config, std::vector<Conflict>& conflicts) {
  for (const auto& [name, settings] : training_stages(config)) {
    // Without a step, a stage of fixed widths can still calibrate the activation scales of a model.
    const bool calibrates = config.quant.act_scale == "calibrated" && widths_of(config, name) == StageWidths::needs;
    if (config.runs(name) && settings.epochs < 1 && !calibrates) {
      conflicts.push_back({{name + ".epochs", "stages"},
                           fmt::format("{}.epochs = {}; must be an integer >= 1, or leave {} out of stages", name,
                                       settings.epochs, name)});
    }
    if (config.runs(name) && settings.warmup_epochs > 0 && settings.warmup_epochs >= settings.epochs)
      conflicts.push_back({{name + ".warmup_epochs", name + ".epochs"},
                           fmt::format("{}.warmup_epochs = {}; must be less than {}.epochs = {}", name,
                                       settings.warmup_epochs, name, settings.epochs)});
    const std::vector<int>& milestones = settings.milestones;
    if (std::adjacent_find(milestones.begin(), milestones.end(), std::greater_equal<>()) != milestones.end()) {
      conflicts.push_back(
          {{name + ".milestones"}, fmt::format("{}.milestones = {}; must increase", name, to_text(milestones))});
    }
  }
}

/// `a.no_decay = [norms, norms]; norms is listed twice` and the like, whether or not the stage is to run.
void check_optimizers(const Config& config, std::vector<Conflict>& conflicts) {
  for (const auto& [name, settings] : training_stages(config)) {
    if (settings.nesterov && settings.momentum == 0)
      conflicts.push_back({{name + ".nesterov", name + ".momentum"},
                           fmt::format("{0}.nesterov = true; needs {0}.momentum above 0", name)});
    if (settings.ema >= 1)
      conflicts.push_back(
          {{name + ".ema"}, fmt::format("{}.ema = {:g}; must be below 1, or it never moves", name, settings.ema)});
    const std::vector<std::string>& spared = settings.no_decay;
    for (auto what = spared.begin(); what != spared.end(); ++what) {
      if (std::find(spared.begin(), what, *what) == what) continue;
      conflicts.push_back(
          {{name + ".no_decay"}, fmt::format("{}.no_decay = {}; {} is listed twice", name, to_text(spared), *what)});
    }
  }
}

void check_model(const Config& config, std::vector<Conflict>& conflicts) {
  if (!config.stages.empty() && !config.schema().find_stage(config.stages.front())->starts_untrained &&
      config.model.init.empty()) {
    conflicts.push_back(
        {{"model.init", "stages"},
         fmt::format("stages begin with {}, which needs a trained model; set model.init to a checkpoint "
                     "folder or a .safetensors file",
                     config.stages.front())});
  }
  if (config.model.init_classifier == "fresh" && config.model.init.empty())
    conflicts.push_back({{"model.init_classifier", "model.init"},
                         "model.init_classifier = fresh; without model.init there is no classifier to replace; set it, "
                         "or leave this out"});
  if (config.quant.max_bits < config.quant.weight_bits) {
    conflicts.push_back({{"quant.max_bits", "quant.weight_bits"},
                         fmt::format("quant.max_bits = {}; must be at least quant.weight_bits = {}",
                                     config.quant.max_bits, config.quant.weight_bits)});
  }
}

void check_distillation(const Config& config, std::vector<Conflict>& conflicts) {
  const std::vector<std::string>& listed = config.distill.stages;
  for (auto stage = listed.begin(); stage != listed.end(); ++stage) {
    const char* what = config.find_stage(*stage) == nullptr                ? "does not train"
                       : std::find(listed.begin(), stage, *stage) != stage ? "is listed twice"
                                                                           : nullptr;
    if (what != nullptr)
      conflicts.push_back(
          {{"distill.stages"}, fmt::format("distill.stages = {}; {} {}", to_text(listed), *stage, what)});
  }
}

/// A teacher that nobody hears, and settings of one that is not there.
void warn_of_distillation(const Config& config, std::vector<std::string>& warnings) {
  const DistillConfig &distill = config.distill, standard;
  const bool is_set = distill.weight != standard.weight || distill.temperature != standard.temperature ||
                      distill.stages != standard.stages;
  if (distill.model.empty()) {
    if (is_set) warnings.push_back("distill.model is not set; the other keys of distill do nothing");
    return;
  }
  const bool is_heard = std::any_of(config.stages.begin(), config.stages.end(),
                                    [&](const std::string& stage) { return config.distills(stage); });
  if (is_heard) return;
  warnings.push_back(distill.weight == 0
                         ? fmt::format("distill.weight = 0; nothing is learned from {}", distill.model)
                         : fmt::format("distill.model = {}; no stage that runs learns from it", distill.model));
}

/// Training under the arithmetic of deployment.
void check_deployed(const Config& config, std::vector<Conflict>& conflicts) {
  const QuantConfig& quant = config.quant;
  if (!quant.deployed) return;
  if (quant.act_bits == 0)
    conflicts.push_back({{"quant.deployed", "quant.act_bits"},
                         "quant.deployed = true; needs quantized activations, set quant.act_bits to 1..8"});
  if (quant.act_scale != "calibrated")
    conflicts.push_back(
        {{"quant.deployed", "quant.act_scale"},
         fmt::format("quant.deployed = true; integers have fixed scales, set quant.act_scale to calibrated, not {}",
                     quant.act_scale)});
  const auto quantizes = [&](const std::string& stage) { return widths_of(config, stage) != StageWidths::none; };
  if (!config.stages.empty() && std::none_of(config.stages.begin(), config.stages.end(), quantizes))
    conflicts.push_back({{"quant.deployed", "stages"},
                         fmt::format("quant.deployed = true; no stage of {} quantizes activations, add {}",
                                     to_text(config.stages), finders_of_widths(config))});
}

/// Offsets of activations, which are learned with their steps.
void check_signed(const Config& config, std::vector<Conflict>& conflicts) {
  const QuantConfig& quant = config.quant;
  if (!quant.quantizes_signed()) return;
  if (quant.activation != "lsq")
    conflicts.push_back({{"quant.signed", "quant.activation"},
                         fmt::format("quant.signed = lsq_plus; learns offsets beside the steps of quant.activation: "
                                     "lsq, set it to that, not to {}",
                                     quant.activation)});
  if (quant.act_bits == 0)
    conflicts.push_back({{"quant.signed", "quant.act_bits"},
                         "quant.signed = lsq_plus; needs quantized activations, set quant.act_bits to 1..8"});
  if (quant.deployed)
    conflicts.push_back({{"quant.signed", "quant.deployed"},
                         "quant.signed = lsq_plus; levels from an offset on have no deployed form, set quant.deployed "
                         "to false, or quant.signed to float"});
}

/// The numbers by which pixels are normalised, one for each channel.
void check_normalisation(const Config& config, std::vector<Conflict>& conflicts) {
  const DataConfig& data = config.data;
  for (const auto& [key, numbers] : {std::pair{"data.mean", data.mean}, {"data.std", data.std}}) {
    if (static_cast<int>(numbers.size()) == data.channels) continue;
    conflicts.push_back(
        {.keys = {key, "data.channels"},
         .what = fmt::format("{} = {}; data.channels = {} needs {}; bsq data CFG computes mean and "
                             "deviation of the training images",
                             key, to_text(numbers), data.channels, data.channels == 1 ? "one number" : "a list of 3"),
         .is_of_pixels = true});
  }
}

void check_mixing(const Config& config, std::vector<Conflict>& conflicts) {
  if (config.data.batch_size > 1) return;
  for (const auto& [key, alpha] : {std::pair("data.mixup", config.data.mixup), {"data.cutmix", config.data.cutmix}})
    if (alpha > 0)
      conflicts.push_back(
          {{key, "data.batch_size"},
           fmt::format("{} = {}; mixes images of a batch with each other, and data.batch_size is 1", key, alpha)});
}

void check_names(const Config& config, std::vector<Conflict>& conflicts) {
  const std::string& name = config.name;
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos) {
    conflicts.push_back({{"name"}, fmt::format("name = {}; must be a folder's name, without /", to_text(name))});
  }
  if (config.run.dir.empty()) {
    conflicts.push_back({{"run.dir"}, "run.dir = \"\"; must be a folder, such as runs"});
  }
}

}  // namespace

std::vector<Conflict> find_conflicts(const Config& config) {
  std::vector<Conflict> conflicts;
  check_names(config, conflicts);
  config.schema().check("data", config, conflicts);
  check_normalisation(config, conflicts);
  check_mixing(config, conflicts);
  check_stage_order(config, conflicts);
  check_stages_alone(config, conflicts);
  config.schema().check("model", config, conflicts);
  check_model(config, conflicts);
  check_stage_settings(config, conflicts);
  check_optimizers(config, conflicts);
  check_distillation(config, conflicts);
  check_deployed(config, conflicts);
  check_signed(config, conflicts);
  for (const StageChoice& stage : config.schema().stages()) config.schema().check(stage.name, config, conflicts);
  return conflicts;
}

std::vector<std::string> config_warnings(const Config& config) {
  std::vector<std::string> warnings;
  for (const auto& [name, settings] : training_stages(config)) {
    if (!config.runs(name)) continue;
    if (settings.weight_decay == 0 && !settings.no_decay.empty())
      warnings.push_back(
          fmt::format("{0}.no_decay = {1}, {0}.weight_decay = 0; nothing decays", name, to_text(settings.no_decay)));
    if (settings.schedule != "milestones") continue;
    std::vector<int> beyond;
    std::copy_if(settings.milestones.begin(), settings.milestones.end(), std::back_inserter(beyond),
                 [epochs = settings.epochs](int milestone) { return milestone >= epochs; });
    if (beyond.empty()) continue;
    const bool one = beyond.size() == 1;
    warnings.push_back(fmt::format("{}.milestones: epoch{} {} {} beyond {}.epochs = {}; lr does not change there", name,
                                   one ? "" : "s", fmt::join(beyond, ", "), one ? "is" : "are", name, settings.epochs));
  }
  warn_of_distillation(config, warnings);
  constexpr int kMostIntegerBits = 7;  // INT8 with a sign
  if (config.quant.deployed && config.quant.max_bits > kMostIntegerBits)
    warnings.push_back(
        fmt::format("quant.deployed = true, quant.max_bits = {}; integers have {} bits beside the sign, to which wider "
                    "layers are rounded after training; set quant.max_bits and quant.weight_bits to {}",
                    config.quant.max_bits, kMostIntegerBits, kMostIntegerBits));
  config.schema().warn(config, warnings);
  return warnings;
}

std::string block_activation(const QuantConfig& quant) {
  if (quant.activation == "lsq" && quant.act_bits == 0) return "relu";
  if (quant.activation != "auto") return quant.activation;
  return quant.act_bits >= 1 && quant.act_bits <= 3 ? "pact" : "relu6";
}

}  // namespace bsq
