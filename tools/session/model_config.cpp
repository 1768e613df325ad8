#include "tools/session/model_config.h"

#include "kernels/base/error.h"
#include "tools/session/config_schema.h"
#include "tools/session/run_files.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace bsq {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// The configuration of the data: --config, that of the run the model is in, or the overrides alone.
Config read_config(const ModelWords& given, const fs::path& model, Console& console) {
  std::string file = given.config_file;
  if (const std::optional<fs::path> run = run_of_checkpoint(model); file.empty() && run) {
    file = (*run / "config.yaml").string();
    console.info("data as in " + file);
  }
  std::vector<std::string> words = given.overrides;
  words.push_back("model.init=" + ordered_json(model.string()).dump());  // whatever the stages, a model is there
  return load_config(config_schema(), file, words);
}

bool is_activation(const std::string& name) {
  const std::vector<std::string> names = {"auto", "relu", "relu6", "pact"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Puts what the model says about itself in, except where an override says otherwise.
void apply_card(Config& config, const ModelWords& words, const ModelFile& model) {
  const ModelCard& card = model.card;
  const std::string path = model.file.path.string();
  const auto refuse_other = [&](const char* key, int asked, int found) {
    if (words.overrides_key(key) && asked != found)
      fail(ErrorKind::usage, "{} = {}: {} has {}; leave it out", key, asked, path, found);
  };
  refuse_other("model.depth", config.model.depth, model.options.depth);
  refuse_other("model.width", config.model.width, model.options.width);
  config.model.depth = model.options.depth;
  config.model.width = model.options.width;
  const auto apply = [&](const std::string& name, const std::string& key, const auto& said, auto& value) {
    if (words.overrides_key(key)) return;
    if (const std::string* text = damaged_text(card, name))
      fail(ErrorKind::checkpoint, "{}: metadata '{}' is {}; the file is damaged, or give {}=...", path, name, *text,
           key);
    if (said) value = *said;
  };
  apply("mean", "data.mean", card.mean, config.data.mean);
  apply("std", "data.std", card.std, config.data.std);
  apply("eval_batch_size", "data.eval_batch_size", card.eval_batch_size, config.data.eval_batch_size);
  apply("activation", "quant.activation", card.activation, config.quant.activation);
  apply("act_scale", "quant.act_scale", card.act_scale, config.quant.act_scale);
  if (!words.overrides_key("quant.act_bits") && model.file.find("conv1.weight") != nullptr && words.config_file.empty())
    config.quant.act_bits = 0;  // a float model of unknown origin
  apply("act_bits", "quant.act_bits", card.act_bits, config.quant.act_bits);
  if (config.data.mean.size() != 3 || config.data.std.size() != 3 || config.data.eval_batch_size < 1 ||
      config.quant.act_bits < 0 || config.quant.act_bits > 8 || !is_activation(config.quant.activation) ||
      (config.quant.act_scale != "batch_max" && config.quant.act_scale != "calibrated"))
    fail(ErrorKind::checkpoint, "{}: metadata out of range; the file is damaged", path);
}

}  // namespace

bool ModelWords::overrides_key(const std::string& key) const {
  return std::any_of(overrides.begin(), overrides.end(),
                     [&](const std::string& word) { return word.starts_with(key + "="); });
}

Config config_of_model(const ModelWords& words, const ModelFile& model, Console& console) {
  Config config = read_config(words, model.file.path, console);
  apply_card(config, words, model);
  return config;
}

bool uses_calibrated_scales(const OpenModel& model, const Config& config) {
  if (config.quant.act_scale != "calibrated" || config.quant.act_bits == 0) return false;
  const std::string path = model.file.path.string();
  for (const StateSpec& state : model.network.states()) {
    if (!state.name.ends_with(".act_scale")) continue;
    const HostTensor* scale = model.file.find(state.name);
    if (scale == nullptr || scale->values<float>()[0] < 0)
      fail(ErrorKind::usage,
           "{}: has no calibrated {}; evaluate with quant.act_scale=batch_max, or calibrate it: bsq train CFG "
           "quant.act_scale=calibrated stages=[finetune] finetune.epochs=0 model.init={}",
           path, state.name, path);
  }
  return true;
}

}  // namespace bsq
