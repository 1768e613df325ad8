// The experiment: everything a run depends on, as plain structs with the published recipe as defaults.
//
// A file is YAML of the same shape (configs/*.yaml). Precedence: the defaults here < the files named in `_base_` < the
// file itself < overrides in order. Maps merge key by key, lists are replaced whole, and so is quant.layers, whose
// order counts. The set of keys is closed: an unknown, repeated, mistyped or out-of-range key is an error with its
// place and the nearest known key.
// A ConfigSchema has the one table behind reading, printing, help and the editor's schema. Fields that all experiments
// have are here. What a field means is in its row of the table (engine/config/config_keys.cpp); comments here add only
// what the row does not say. A data set, a network family and a method add keys of their own
// (engine/config/config_schema.h).
#pragma once

#include "engine/config/layer_rules.h"
#include "engine/config/scheme.h"

#include <any>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <typeindex>
#include <variant>
#include <vector>

namespace bsq {

class ConfigSchema;

/// The value of a key. The alternative that its default holds is the key's type.
using ConfigValue = std::variant<bool, int, std::uint64_t, double, std::string, std::vector<int>, std::vector<double>,
                                 std::vector<std::string>, LayerRules, Scheme>;

/// One stage of training with SGD; its rate is learning_rate() in engine/training/schedule.h.
struct StageConfig {
  int epochs = 350;
  double lr = 0.1;
  std::string schedule = "milestones";  // or cosine
  int warmup_epochs = 0;
  double momentum = 0.9;
  bool nesterov = false;
  double weight_decay = 1e-4;  // on planes, scales, batch norm and PACT too
  std::vector<std::string> no_decay = {};
  std::vector<int> milestones;  // counted from 0
  double gamma = 0.1;
  double label_smoothing = 0;
  double clip_norm = 0;
  double ema = 0;  // below 1
};

struct ModelConfig {
  std::string arch;     // by default the first family of the schema
  std::string network;  // empty: the network of the family
  bool sync_batch_norm = false;
  std::string init;                      // empty: random weights
  std::string init_classifier = "keep";  // or fresh

  bool has_fresh_classifier() const { return !init.empty() && init_classifier == "fresh"; }
};

struct DataConfig {
  std::string kind;  // by default the first data set of the schema
  std::string root;  // relative to the working folder; unused by `synthetic`
  int train_per_class = 0;
  int test_per_class = 0;
  double holdout = 0;             // share of the training images that the best epoch is chosen on; 0: on the test set
  std::string train = "";         // folders of pictures within root; empty: the usual ones
  std::string test = "";          // likewise
  std::string cache = "";         // a folder that keeps what folders and archives of pictures hold; empty: none
  std::string on_error = "stop";  // or skip: of training pictures that cannot be read
  int batch_size = 128;
  int eval_batch_size = 100;  // changes the result: activation scales are those of a batch
  std::string crop = "pad";   // or random_resized
  int crop_padding = 4;
  double crop_area = 0.08;            // of random_resized: the least share of a picture
  std::string crop_decode = "exact";  // likewise; or reduced
  bool flip = true;
  double mixup = 0;
  double cutmix = 0;
  double memory =
      0;  // GiB that images may take; a set that takes more is read while it is used; 0: half of what there is
  int readers = 0;     // threads that read such a set; 0: as many as compute
  int image_size = 0;  // of an image_folder: height and width of what the network sees; 0: as the files have it
  int resize = 0;      // the shorter side before the centre is cut out; 0: 8/7 of image_size
  std::string interpolation = "bilinear";
  int channels = 3;  // or 1: gray
  std::vector<double> mean = {0.4914, 0.4822, 0.4465};
  std::vector<double> std = {0.2023, 0.1994, 0.2010};
};

struct QuantConfig {
  int weight_bits = 8;
  int max_bits = 8;  // the limit at re-quantization
  int act_bits = 4;
  std::string activation = "auto";
  std::string signed_numbers = "float";  // or lsq_plus: the key `signed`
  std::string act_scale = "batch_max";   // in training always the batch's maximum
  int calibration_batches = 32;          // before each evaluation
  bool deployed = false;
  Scheme scheme = {};      // in place of the first two numbers above
  LayerRules layers = {};  // in place of the three, and of the scheme
  bool projections = false;

  /// In stages that quantize activations, whose steps are learned.
  bool quantizes_signed() const { return signed_numbers == "lsq_plus"; }
};

struct DistillConfig {
  std::string model;  // empty: nobody teaches
  double weight = 0.5;
  double temperature = 4;
  std::vector<std::string> stages = {};  // empty: those that train weights which have bit widths

  bool has_teacher() const { return !model.empty() && weight > 0; }
};

struct CheckpointConfig {
  int every_epochs = 1;
  int keep_last = 1;
};

struct RunConfig {
  std::string dir = "runs";
};

struct LogConfig {
  int every_steps = 0;
  bool tensorboard = false;
  bool tensorboard_layers = false;
};

class Config {
 public:
  /// Has no schema: a place for another Config to be assigned to.
  Config() = default;
  /// Has every key of the schema at its default. The schema must outlive the Config.
  explicit Config(const ConfigSchema& schema);

  const ConfigSchema& schema() const;

  std::string name = "bsq";
  std::uint64_t seed = 1;
  std::string device = "auto";
  int threads = 0;
  std::string precision = "fp32";   // of operands; sums are float32 always
  std::vector<std::string> stages;  // names of the schema, in its order

  ModelConfig model;
  DataConfig data;
  QuantConfig quant;
  DistillConfig distill;
  CheckpointConfig checkpoint;
  RunConfig run;
  LogConfig log;

  /// Whether the stage is listed to run.
  bool runs(const std::string& stage) const;
  /// Settings of a stage that trains, whether or not it is listed to run; null for a stage that does not train.
  const StageConfig* find_stage(const std::string& which) const;
  /// Whether the stage learns from distill.model as well.
  bool distills(const std::string& stage) const;
  const StageConfig& stage(const std::string& which) const { return training_.at(which); }
  StageConfig& stage(const std::string& which) { return training_.at(which); }

  /// The key `leaf` of section model, which the family model.arch has: what was set, else the family's default. Of a
  /// key that it has not: what was set, else the default of the first family that has it.
  const ConfigValue& family_value(const std::string& leaf) const;
  template <typename T>
  const T& family(const std::string& leaf) const {
    return std::get<T>(family_value(leaf));
  }
  void set_family(const std::string& leaf, ConfigValue value) { family_values_[leaf] = std::move(value); }
  bool has_set_family(const std::string& leaf) const { return family_values_.count(leaf) > 0; }

  /// What a data set or a method has keys for: a struct of its own, which tells its defaults.
  template <typename Part>
  const Part& part() const {
    static const Part standard;
    const auto found = parts_.find(typeid(Part));
    return found == parts_.end() ? standard : std::any_cast<const Part&>(found->second);
  }
  template <typename Part>
  Part& part() {
    std::any& part = parts_[typeid(Part)];
    if (!part.has_value()) part = Part();
    return std::any_cast<Part&>(part);
  }

 private:
  const ConfigSchema* schema_ = nullptr;
  std::map<std::string, StageConfig> training_;       // by name of the stage
  std::map<std::string, ConfigValue> family_values_;  // by the leaf of the key: what was set
  std::map<std::type_index, std::any> parts_;
};

/// plan: what only a run must not be is let pass. sweep: a run of a sweep, whose file may have a key `sweep`. survey:
/// likewise, of which only the images are looked at, so that their mean and deviation need not be known.
enum class ConfigUse { run, plan, sweep, survey };

/// Reads `file` (empty: none), the files it inherits and `overrides` (`a.b=v` or `--a.b=v`, v a YAML scalar or flow
/// list). Throws one Error(usage) with every problem on a line of its own, each headed by its place (`c.yaml:12:3:` or
/// `override 3:`), and a last line `2 errors; nothing was written`.
Config load_config(const ConfigSchema& schema, const std::filesystem::path& file,
                   std::span<const std::string> overrides = {}, ConfigUse use = ConfigUse::run);

/// What is legal but probably not meant, one sentence each.
std::vector<std::string> config_warnings(const Config& config);

/// The activation of the blocks, `auto` resolved: relu, relu6 or pact.
std::string block_activation(const QuantConfig& quant);

/// Every key with its value and meaning. Loaded again it gives the same Config, and that the same text.
std::string to_yaml(const Config& config);

/// Six hexadecimal digits over all names and values (not their documentation), the same on every machine.
std::string config_hash(const Config& config);

enum class CompareKeys {
  all,
  fixed_on_resume,  // all but those a resumed run may change: device, threads, data.root, checkpoint.*, run.*, log.*
};

/// Keys that differ, each as `bsq.alpha 0.005 in the run, 0.01 now`.
std::vector<std::string> differences(const Config& run, const Config& now, CompareKeys which = CompareKeys::all);
/// Likewise, of keys that have part in the first `stages` stages: neither the names of runs nor the keys of stages that
/// come later.
std::vector<std::string> differences_in_past(const Config& run, const Config& now, std::size_t stages,
                                             CompareKeys which);

/// Every key with default, meaning, allowed values and old flag, for --help.
std::string describe_keys(const ConfigSchema& schema);

/// JSON schema (draft 7) of a configuration file: completion in editors. configs/config.schema.json is this text.
std::string config_json_schema(const ConfigSchema& schema);

}  // namespace bsq
