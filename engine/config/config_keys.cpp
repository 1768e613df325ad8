// The rows of the table. A row is: name, field, what it allows, meaning with unit, old flag, may it change on resume.
#include "engine/config/config_keys.h"

#include <utility>

namespace bsq {
namespace {

Allowed between(double minimum, double maximum) {
  return {.minimum = minimum, .maximum = maximum, .choices = {}};
}

Allowed at_least(double minimum) {
  return {.minimum = minimum, .choices = {}};
}

Allowed one_of(std::vector<std::string> choices) {
  return {.choices = std::move(choices)};
}

Allowed three(Allowed element) {
  element.length = 3;
  return element;
}

Allowed anything() {
  return {};
}

constexpr bool kMayChange = true;  // on resume

/// Adds rows of one section.
template <typename Section>
struct Rows {
  std::vector<ConfigKey>& keys;
  std::string section;
  Section Config::*part;

  template <typename Owner, typename T>
  void add(const std::string& leaf, T Owner::*member, Allowed allowed, std::string meaning, std::string old_flag = "",
           bool may_change_on_resume = false) {
    ConfigField field = {
        [=, this_part = part](const Config& config) { return ConfigValue((config.*this_part).*member); },
        [=, this_part = part](Config& config, const ConfigValue& value) {
          (config.*this_part).*member = std::get<T>(value);
        }};
    keys.push_back({section + "." + leaf, std::move(field), std::move(allowed), std::move(meaning), std::move(old_flag),
                    may_change_on_resume});
  }
};

template <typename T>
ConfigField root_field(T Config::*member) {
  return {[=](const Config& config) { return ConfigValue(config.*member); },
          [=](Config& config, const ConfigValue& value) { config.*member = std::get<T>(value); }};
}

void add_root(std::vector<ConfigKey>& keys) {
  const Allowed devices = one_of({"auto", "cpu", "reference", "cuda"});
  const Allowed stages = one_of({"pretrain", "convert", "bsq", "finetune"});
  keys.push_back({"name", root_field(&Config::name), anything(), "name of the run and of its folder"});
  keys.push_back(
      {"seed", root_field(&Config::seed), at_least(0), "of weights, shuffling, augmentation", "--manualSeed"});
  keys.push_back(
      {"device", root_field(&Config::device), devices, "where to compute; auto: the fastest there is", "", kMayChange});
  keys.push_back(
      {"threads", root_field(&Config::threads), between(0, 4096), "CPU threads; 0 = all cores", "", kMayChange});
  keys.push_back(
      {"precision", root_field(&Config::precision), one_of({"fp32", "tf32", "bf16"}), "operands of the convolutions"});
  keys.push_back(
      {"stages", root_field(&Config::stages), stages, "what to run, in this order; leave out what is not needed"});
}

void add_model(std::vector<ConfigKey>& keys) {
  Rows<ModelConfig> model = {keys, "model", &Config::model};
  model.add("arch", &ModelConfig::arch, one_of({"resnet"}), "family of networks", "--arch");
  model.add("depth", &ModelConfig::depth, between(8, 10000), "layers, 6n+2: 8, 14, 20, 32, 44, 56, 110", "--depth");
  model.add("width", &ModelConfig::width, between(1, 4096), "channels of the first group of blocks");
  model.add("sync_batch_norm", &ModelConfig::sync_batch_norm, anything(),
            "batch statistics and activation scales are those of the whole batch, not of each rank's slice");
  model.add("init", &ModelConfig::init, anything(), "checkpoint folder or .safetensors to start from", "--model");
}

void add_data(std::vector<ConfigKey>& keys) {
  constexpr double kSmallestDeviation = 1e-3;  // pixels are divided by it; a quarter of one level of 255
  const Allowed kinds = one_of({"synthetic", "cifar10", "cifar100", "image_folder"});
  Rows<DataConfig> data = {keys, "data", &Config::data};
  data.add("kind", &DataConfig::kind, kinds, "data set, or its format", "--dataset");
  data.add("root", &DataConfig::root, anything(), "folder of the data set", "", kMayChange);
  data.add("train_per_class", &DataConfig::train_per_class, at_least(0), "first N training images of a class; 0 = all");
  data.add("test_per_class", &DataConfig::test_per_class, at_least(0), "first N test images of a class; 0 = all");
  data.add("synthetic_train", &DataConfig::synthetic_train, at_least(1), "training images of the synthetic set");
  data.add("synthetic_test", &DataConfig::synthetic_test, at_least(1), "test images of the synthetic set");
  data.add("batch_size", &DataConfig::batch_size, between(1, 65536),
           "images of a training step, those of all ranks together", "--train-batch");
  data.add("eval_batch_size", &DataConfig::eval_batch_size, between(1, 65536),
           "images of an evaluation step; activation scales are per batch", "--test-batch");
  data.add("crop_padding", &DataConfig::crop_padding, between(0, 64),
           "pixels of zeros before the random crop; 0 = no crop");
  data.add("flip", &DataConfig::flip, anything(), "mirror half of the training images");
  data.add("mean", &DataConfig::mean, three(between(0, 1)), "subtracted from red, green, blue in 0..1");
  data.add("std", &DataConfig::std, three(at_least(kSmallestDeviation)), "red, green, blue are then divided by it");
}

void add_quant(std::vector<ConfigKey>& keys) {
  const Allowed activations = one_of({"auto", "relu", "relu6", "pact"});
  Rows<QuantConfig> quant = {keys, "quant", &Config::quant};
  quant.add("weight_bits", &QuantConfig::weight_bits, between(1, 8), "bits of every layer at the conversion",
            "--Nbits");
  quant.add("max_bits", &QuantConfig::max_bits, between(1, 8), "a layer never grows beyond");
  quant.add("act_bits", &QuantConfig::act_bits, between(0, 8), "activation bits of bsq and finetune; 0 = not quantized",
            "--act");
  quant.add("activation", &QuantConfig::activation, activations,
            "of the blocks; auto: pact for 1..3 act_bits, else relu6");
  quant.add("act_scale", &QuantConfig::act_scale, one_of({"batch_max", "calibrated"}),
            "activation scale in evaluation: the maximum of each batch, as published, or fixed, as deployment needs");
  quant.add("calibration_batches", &QuantConfig::calibration_batches, between(1, 1e6),
            "batches of data.eval_batch_size training images that calibrated scales are the mean maximum of");
}

/// The keys every training stage has.
template <typename Stage>
Rows<Stage> add_stage(std::vector<ConfigKey>& keys, const std::string& name, Stage Config::*part) {
  Rows<Stage> stage = {keys, name, part};
  stage.add("epochs", &StageConfig::epochs, at_least(0), "passes over the training set", "--epochs");
  stage.add("lr", &StageConfig::lr, at_least(0), "learning rate of epoch 0", "--lr");
  stage.add("momentum", &StageConfig::momentum, between(0, 1), "of SGD", "--momentum");
  stage.add("weight_decay", &StageConfig::weight_decay, at_least(0), "on all parameters", "--wd");
  stage.add("milestones", &StageConfig::milestones, at_least(1), "epochs from which lr is multiplied by gamma",
            "--schedule");
  stage.add("gamma", &StageConfig::gamma, between(0, 1), "factor of lr at each milestone", "--gamma");
  return stage;
}

void add_stages(std::vector<ConfigKey>& keys) {
  auto pretrain = add_stage(keys, "pretrain", &Config::pretrain);
  pretrain.add("act_bits", &PretrainConfig::act_bits, between(0, 8),
               "activation bits in float training; 0 = not quantized", "--act");
  auto bsq = add_stage(keys, "bsq", &Config::bsq);
  bsq.add("alpha", &BsqConfig::alpha, at_least(0), "strength of the penalty on bit planes; more gives fewer bits",
          "--decay");
  bsq.add("requant_interval", &BsqConfig::requant_interval, at_least(1), "epochs from one re-quantization to the next",
          "--Prun_Int");
  bsq.add("prune_threshold", &BsqConfig::prune_threshold, between(0, 100),
          "percent of ones at or below which a plane is dropped", "--thre");
  add_stage(keys, "finetune", &Config::finetune);
}

void add_files(std::vector<ConfigKey>& keys) {
  Rows<CheckpointConfig> checkpoint = {keys, "checkpoint", &Config::checkpoint};
  checkpoint.add("every_epochs", &CheckpointConfig::every_epochs, at_least(1), "epochs from one checkpoint to the next",
                 "", kMayChange);
  checkpoint.add("keep_last", &CheckpointConfig::keep_last, at_least(1), "newest checkpoints kept beside the best", "",
                 kMayChange);
  Rows<RunConfig> run = {keys, "run", &Config::run};
  run.add("dir", &RunConfig::dir, anything(), "a run writes to <run.dir>/<name>/", "--checkpoint", kMayChange);
  Rows<LogConfig> log = {keys, "log", &Config::log};
  log.add("every_steps", &LogConfig::every_steps, at_least(0),
          "steps from one step line to the next; 0 = epoch lines only", "", kMayChange);
  log.add("tensorboard", &LogConfig::tensorboard, anything(), "event files for TensorBoard in tb/ of the run", "",
          kMayChange);
  log.add("tensorboard_layers", &LogConfig::tensorboard_layers, anything(), "in them the bits of every layer as well",
          "", kMayChange);
}

std::vector<ConfigKey> make_table() {
  std::vector<ConfigKey> keys;
  add_root(keys);
  add_model(keys);
  add_data(keys);
  add_quant(keys);
  add_stages(keys);
  add_files(keys);
  return keys;
}

}  // namespace

std::string ConfigKey::section() const {
  const std::size_t dot = name.find('.');
  return dot == std::string::npos ? "" : name.substr(0, dot);
}

std::string ConfigKey::leaf() const {
  return name.substr(name.find('.') + 1);  // npos + 1 is 0
}

const std::vector<ConfigKey>& config_keys() {
  static const std::vector<ConfigKey> table = make_table();
  return table;
}

std::vector<std::string> config_sections() {
  std::vector<std::string> sections;
  for (const ConfigKey& key : config_keys()) {
    if (sections.empty() || sections.back() != key.section()) sections.push_back(key.section());
  }
  return sections;
}

}  // namespace bsq
