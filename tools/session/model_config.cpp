#include "tools/session/model_config.h"

#include "data/picture_fit.h"
#include "data/picture_set.h"
#include "kernels/base/error.h"
#include "tools/session/config_schema.h"
#include "tools/session/run_files.h"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace bsq {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// The configuration of the data: that of --config, or of the run that the model is in, or the overrides alone.
Config read_config(const ModelWords& given, const fs::path& model, Console& console) {
  std::string file = given.config_file;
  const std::optional<fs::path> run = file.empty() ? run_of_checkpoint(model) : std::nullopt;
  if (run) {
    file = (*run / "config.yaml").string();
    console.info("data as in " + file);
  }
  std::vector<std::string> words = given.overrides;
  for (const char* off : {"quant.deployed=false", "quant.signed=float"})  // the model says it
    if (const std::string word = off; !given.overrides_key(word.substr(0, word.find('=')))) words.push_back(word);
  // Whatever the stages, a model is there; its name is never read, and may be no UTF-8.
  words.push_back("model.init=" +
                  ordered_json(model.string()).dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  const Config config = load_config(config_schema(), file, words);
  return run ? with_paths_of(*run, config, words) : config;
}

bool is_activation(const std::string& name) {
  const auto is_it = [&](Activation known) { return known != Activation::none && name == name_of(known); };
  return name == "auto" || std::ranges::any_of(kActivations, is_it);
}

/// Throws Error(usage) if an override asks for another network than the model's.
void refuse_other_network(const Config& config, const ModelWords& words, const ModelFile& model) {
  const std::string path = model.file.path.string();
  if (words.overrides_key("model.network"))
    fail(ErrorKind::usage, "model.network = {}: {} says its network; leave it out", config.model.network, path);
  for (const char* key : {"quant.layers", "quant.scheme", "quant.projections"})
    if (words.overrides_key(key))
      fail(ErrorKind::usage, "{}: {} says the widths of its layers; leave it out", key, path);
  const auto& nodes = model.spec.nodes;
  if (words.overrides_key("quant.signed") && config.quant.quantizes_signed() &&
      std::ranges::none_of(nodes, [](const NodeSpec& node) { return node.layer == "quantize"; }))
    fail(ErrorKind::usage, "quant.signed = lsq_plus: {} has nothing that learned it; leave it out", path);
  Config of_family = config;
  of_family.model.network.clear();  // of the run that the model is from
  const NetworkSpec asked = bare_network(of_family, model.spec.image, 1);
  for (const auto& [key, found] : model.spec.settings.items()) {
    const std::string name = "model." + key;
    if (words.overrides_key(name) && asked.settings.contains(key) && asked.settings[key] != found)
      fail(ErrorKind::usage, "{} = {}: {} has {}; leave it out", name, asked.settings[key].dump(), path, found.dump());
  }
}

/// Whether the weights of quantizable layers are there as numbers.
bool is_float(const ModelFile& model) {
  try {
    const Network network = build_network(model.spec);
    for (const ParameterSpec& parameter : network.parameters())
      if (parameter.group == ParameterGroup::quantized) return model.file.find(parameter.name) != nullptr;
  } catch (const SpecError&) {  // which open_model says in its own words
  }
  return false;
}

/// The channels that the network reads are those of the images: what nobody says, the model does. Throws
/// Error(checkpoint) if its pictures have others.
void apply_channels(Config& config, const ModelWords& words, const ModelFile& model) {
  const auto channels = static_cast<int>(model.spec.image[2]);
  const bool says_data = !words.config_file.empty() || run_of_checkpoint(model.file.path).has_value();
  const bool may_have_others = has_pictures(config) || !words.overrides_key("data.kind");
  if (!says_data && may_have_others && !words.overrides_key("data.channels")) config.data.channels = channels;
  check_channels(model, config);
}

/// Puts in what the model says about itself, unless an override says otherwise.
void apply_card(Config& config, const ModelWords& words, const ModelFile& model) {
  const ModelCard& card = model.card;
  const std::string path = model.file.path.string();
  refuse_other_network(config, words, model);
  apply_channels(config, words, model);
  const auto apply = [&](const std::string& name, const std::string& key, const auto& said, auto& value) {
    if (words.overrides_key(key)) return;
    if (const std::string* text = damaged_text(card, name))
      fail(ErrorKind::checkpoint, "{}: metadata '{}' is {}; the file is damaged, or give {}=...", path, name, *text,
           key);
    if (said) value = *said;
  };
  apply("mean", "data.mean", card.mean, config.data.mean);
  apply("std", "data.std", card.std, config.data.std);
  if (!words.overrides_key("data.image_size")) {  // else the card's resize belongs to another size
    apply("image_size", "data.image_size", card.image_size, config.data.image_size);
    apply("resize", "data.resize", card.resize, config.data.resize);
  }
  apply("interpolation", "data.interpolation", card.interpolation, config.data.interpolation);
  apply("eval_batch_size", "data.eval_batch_size", card.eval_batch_size, config.data.eval_batch_size);
  apply("activation", "quant.activation", card.activation, config.quant.activation);
  apply("signed", "quant.signed", card.signed_numbers, config.quant.signed_numbers);
  apply("act_scale", "quant.act_scale", card.act_scale, config.quant.act_scale);
  apply("deployed", "quant.deployed", card.deployed, config.quant.deployed);
  if (!words.overrides_key("quant.act_bits") && is_float(model) && words.config_file.empty())
    config.quant.act_bits = 0;  // a float model of unknown origin
  apply("act_bits", "quant.act_bits", card.act_bits, config.quant.act_bits);
  const auto channels = static_cast<std::size_t>(config.data.channels);
  const auto says_others = [&](const std::vector<double>& numbers, bool is_said) {
    return !is_said && numbers.size() != channels;
  };
  if (says_others(config.data.mean, card.mean.has_value()) || says_others(config.data.std, card.std.has_value()))
    fail(ErrorKind::usage,
         "{}: reads pictures of {} channel{}, and does not say their mean and deviation; give data.mean=[...] "
         "data.std=[...] as in its training",
         path, channels, channels == 1 ? "" : "s");
  if (config.data.mean.size() != channels || config.data.std.size() != channels || config.data.eval_batch_size < 1 ||
      config.quant.act_bits < 0 || config.quant.act_bits > 8 || !is_activation(config.quant.activation) ||
      (config.quant.signed_numbers != "float" && config.quant.signed_numbers != "lsq_plus") ||
      (config.quant.act_scale != "batch_max" && config.quant.act_scale != "calibrated"))
    fail(ErrorKind::checkpoint, "{}: metadata out of range; the file is damaged", path);
  check_fit_of_model(config.data, path);
}

}  // namespace

bool ModelWords::overrides_key(const std::string& key) const {
  return is_overridden(overrides, key);
}

void require_data(const ModelWords& words, const ModelFile& model) {
  if (words.config_file.empty() && !run_of_checkpoint(model.file.path) && !words.overrides_key("data.kind"))
    fail(ErrorKind::usage, "which data? give --config CFG, or data.kind=cifar10 data.root=DIR");
}

Config config_of_model(const ModelWords& words, const ModelFile& model, Console& console) {
  Config config = read_config(words, model.file.path, console);
  apply_card(config, words, model);
  say_assumptions(
      model, config, [&](const std::string& key) { return words.overrides_key(key); }, console);
  return config;
}

void say_assumptions(const ModelFile& model, const Config& config,
                     const std::function<bool(const std::string& key)>& says, Console& console) {
  const ModelCard& card = model.card;
  const QuantConfig& quant = config.quant;
  std::vector<std::string> assumed;
  const bool guesses_activation =
      !card.activation && quant.activation == "auto" && has_configured_activation(model.spec);
  if (guesses_activation)
    assumed.push_back(
        fmt::format("its activation: {} is assumed (quant.activation=relu if it is that)", block_activation(quant)));
  if (!card.act_bits && !says("quant.act_bits"))
    assumed.push_back(fmt::format("the bits of its activations: quant.act_bits={} is assumed{}", quant.act_bits,
                                  quant.act_bits == 0 ? ", not quantized" : ""));
  if ((!card.mean && !says("data.mean")) || (!card.std && !says("data.std")))
    assumed.push_back(fmt::format("mean and deviation of its images: data.mean=[{}] data.std=[{}] are assumed",
                                  fmt::join(config.data.mean, ", "), fmt::join(config.data.std, ", ")));
  if (assumed.empty()) return;
  const std::string text = fmt::format("{} does not say {}", model.file.path.string(), fmt::join(assumed, "; nor "));
  guesses_activation ? console.warning(text) : console.info(text);
}

std::string calibration_command(const std::string& model) {
  return fmt::format("bsq train CFG quant.act_scale=calibrated stages=[finetune] finetune.epochs=0 model.init={}",
                     model);
}

namespace {

/// Two numbers with 0 between them.
bool is_range(const TensorFile& file, const std::string& name) {
  const HostTensor* range = file.find(name);
  if (range == nullptr || range->numel() != 2) return false;
  const auto numbers = range->values<float>();
  return numbers[0] <= 0 && numbers[1] >= 0;
}

}  // namespace

bool uses_calibrated_scales(const OpenModel& model, const Config& config) {
  if (config.quant.act_scale != "calibrated" || config.quant.act_bits == 0) return false;
  const std::string path = model.file.path.string();
  for (const StateSpec& state : model.network.states()) {
    if (state.role == Role::value_range && !is_range(model.file, state.name))
      fail(ErrorKind::usage, "{}: has no {} that has been found; evaluate with quant.deployed=false", path, state.name);
    if (state.role != Role::act_scale) continue;
    const HostTensor* scale = model.file.find(state.name);
    if (scale == nullptr || scale->values<float>()[0] < 0)
      fail(ErrorKind::usage, "{}: has no calibrated {}; evaluate with quant.act_scale=batch_max, or calibrate it: {}",
           path, state.name, calibration_command(path));
  }
  return needs_calibration(model.network);
}

}  // namespace bsq
