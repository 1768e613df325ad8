#include "tools/session/model_config.h"

#include "kernels/base/error.h"
#include "models/resnet.h"
#include "tools/session/config_schema.h"
#include "tools/session/run_files.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace bsq {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// The configuration of the data: --config, that of the run the model is in, or the overrides alone.
Config read_config(const ModelWords& given, const TensorFile& model, Console& console) {
  std::string file = given.config_file;
  if (const std::optional<fs::path> run = run_of_checkpoint(model.path); file.empty() && run) {
    file = (*run / "config.yaml").string();
    console.info("data as in " + file);
  }
  std::vector<std::string> words = given.overrides;
  words.push_back("model.init=" + ordered_json(model.path.string()).dump());  // whatever the stages, a model is there
  return load_config(config_schema(), file, words);
}

/// `key` of the metadata as JSON; null where it is not there.
nlohmann::json metadata_value(const TensorFile& model, const std::string& key) {
  const auto found = model.metadata.find(key);
  if (found == model.metadata.end()) return nullptr;
  nlohmann::json value = nlohmann::json::parse(found->second, nullptr, false);
  return value.is_discarded() ? nlohmann::json(found->second) : value;
}

bool is_activation(const std::string& name) {
  const std::vector<std::string> names = {"auto", "relu", "relu6", "pact"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Puts what the model says about itself in, except where an override says otherwise.
void apply_metadata(Config& config, const ModelWords& words, const TensorFile& model) {
  const ResNetOptions network = resnet_options_of(model);
  const auto refuse_other = [&](const char* key, int asked, int found) {
    if (words.overrides_key(key) && asked != found)
      fail(ErrorKind::usage, "{} = {}: {} has {}; leave it out", key, asked, model.path.string(), found);
  };
  refuse_other("model.depth", config.model.depth, network.depth);
  refuse_other("model.width", config.model.width, network.width);
  config.model.depth = network.depth;
  config.model.width = network.width;
  const auto apply = [&](const std::string& metadata_key, const std::string& key, auto& value) {
    if (words.overrides_key(key)) return;
    const nlohmann::json found = metadata_value(model, metadata_key);
    if (found.is_null()) return;
    try {
      found.get_to(value);
    } catch (const nlohmann::json::exception&) {
      fail(ErrorKind::checkpoint, "{}: metadata '{}' is {}; the file is damaged, or give {}=...", model.path.string(),
           metadata_key, found.dump(), key);
    }
  };
  apply("mean", "data.mean", config.data.mean);
  apply("std", "data.std", config.data.std);
  apply("eval_batch_size", "data.eval_batch_size", config.data.eval_batch_size);
  apply("activation", "quant.activation", config.quant.activation);
  apply("act_scale", "quant.act_scale", config.quant.act_scale);
  if (!words.overrides_key("quant.act_bits") && model.find("conv1.weight") != nullptr && words.config_file.empty())
    config.quant.act_bits = 0;  // a float model of unknown origin
  apply("act_bits", "quant.act_bits", config.quant.act_bits);
  if (config.data.mean.size() != 3 || config.data.std.size() != 3 || config.data.eval_batch_size < 1 ||
      config.quant.act_bits < 0 || config.quant.act_bits > 8 || !is_activation(config.quant.activation) ||
      (config.quant.act_scale != "batch_max" && config.quant.act_scale != "calibrated"))
    fail(ErrorKind::checkpoint, "{}: metadata out of range; the file is damaged", model.path.string());
}

}  // namespace

bool ModelWords::overrides_key(const std::string& key) const {
  return std::any_of(overrides.begin(), overrides.end(),
                     [&](const std::string& word) { return word.starts_with(key + "="); });
}

Config config_of_model(const ModelWords& words, const TensorFile& model, Console& console) {
  Config config = read_config(words, model, console);
  apply_metadata(config, words, model);
  return config;
}

bool uses_calibrated_scales(const TensorFile& file, const Config& config, const Network& network) {
  if (config.quant.act_scale != "calibrated" || config.quant.act_bits == 0) return false;
  for (const StateSpec& state : network.states()) {
    if (!state.name.ends_with(".act_scale")) continue;
    const HostTensor* scale = file.find(state.name);
    if (scale == nullptr || scale->values<float>()[0] < 0)
      fail(ErrorKind::usage,
           "{}: has no calibrated {}; evaluate with quant.act_scale=batch_max, or calibrate it: bsq train CFG "
           "quant.act_scale=calibrated stages=[finetune] finetune.epochs=0 model.init={}",
           file.path.string(), state.name, file.path.string());
  }
  return true;
}

}  // namespace bsq
