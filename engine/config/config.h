// The experiment: everything a run depends on, as plain structs with the published recipe as defaults.
//
// A file is YAML of the same shape (configs/*.yaml). Precedence: the defaults here < the files named in `_base_` < the
// file itself < overrides in order. Maps merge key by key, lists are replaced whole. The set of keys is closed: an
// unknown, repeated, mistyped or out-of-range key is an error with its place and the nearest known key.
// A ConfigSchema has the one table behind reading, printing, help and the editor's schema. Fields that all experiments
// have are here, their keys in engine/config/config_keys.cpp; a data set, a network family and a method add keys of
// their own (engine/config/config_schema.h). `--flag` below is the name in the published scripts.
#pragma once

#include <any>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <typeindex>
#include <vector>

namespace bsq {

class ConfigSchema;

/// One stage of training with SGD. The rate of epoch e is lr * gamma^(number of milestones <= e).
struct StageConfig {
  int epochs = 350;             // passes over the training set (--epochs)
  double lr = 0.1;              // learning rate of epoch 0 (--lr)
  double momentum = 0.9;        // (--momentum)
  double weight_decay = 1e-4;   // on everything: weights, planes, scales, batch norm, PACT (--wd)
  std::vector<int> milestones;  // epochs, counted from 0, from which the rate is multiplied by gamma (--schedule)
  double gamma = 0.1;           // factor at each milestone (--gamma)
};

struct ModelConfig {
  std::string arch;              // family of networks; the first of the schema's
  std::string network;           // file of the network to use in place of the family's; empty: the family's
  bool sync_batch_norm = false;  // statistics of all ranks' images, not of each rank's own
  std::string init;              // checkpoint folder or .safetensors to start from; empty: random weights (--model)
};

struct DataConfig {
  std::string kind;           // data set, or its format; the first of the schema's (--dataset)
  std::string root;           // folder of the data set, relative to the working folder; unused by `synthetic`
  int train_per_class = 0;    // use the first N training images of each class; 0 = all
  int test_per_class = 0;     // use the first N test images of each class; 0 = all
  int batch_size = 128;       // images of a training step, those of all ranks together (--train-batch)
  int eval_batch_size = 100;  // images of an evaluation step; part of the result: activation scales are per batch
                              // (--test-batch)
  int crop_padding = 4;       // pixels of zeros around an image before the random crop; 0 = no crop
  bool flip = true;           // mirror half of the training images
  std::vector<double> mean = {0.4914, 0.4822, 0.4465};  // subtracted from R, G, B in 0..1
  std::vector<double> std = {0.2023, 0.1994, 0.2010};   // then R, G, B are divided by this
};

struct QuantConfig {
  int weight_bits = 8;                  // bits of every layer at the conversion (--Nbits)
  int max_bits = 8;                     // a layer never grows beyond this at re-quantization
  int act_bits = 4;                     // activation bits of the stages bsq and finetune; 0 = not quantized (--act)
  std::string activation = "auto";      // auto | relu | relu6 | pact; auto: pact where 1 <= act_bits <= 3, else relu6
  std::string act_scale = "batch_max";  // batch_max | calibrated: in evaluation; training takes the batch's maximum
  int calibration_batches = 32;         // of data.eval_batch_size training images, before each evaluation
};

struct CheckpointConfig {
  int every_epochs = 1;  // epochs from one checkpoint to the next
  int keep_last = 1;     // newest checkpoints kept beside the best
};

struct RunConfig {
  std::string dir = "runs";  // runs go to <dir>/<name>/ (--checkpoint)
};

struct LogConfig {
  int every_steps = 0;              // steps from one step line to the next; 0 = epoch lines only
  bool tensorboard = false;         // event files in <run>/tb/ as well
  bool tensorboard_layers = false;  // and in them the bits of every layer
};

class Config {
 public:
  /// Without a schema: a place to keep another one in.
  Config() = default;
  /// Every key of the schema at its default. The schema outlives it.
  explicit Config(const ConfigSchema& schema);

  const ConfigSchema& schema() const;

  std::string name = "bsq";         // of the run and its folder
  std::uint64_t seed = 1;           // of initial weights, shuffling and augmentation (--manualSeed)
  std::string device = "auto";      // auto | cpu | reference | cuda
  int threads = 0;                  // CPU threads; 0 = all cores
  std::string precision = "fp32";   // fp32 | tf32 | bf16: operands of convolutions; accumulation is float32
  std::vector<std::string> stages;  // those of the schema in their order, or a part of them

  ModelConfig model;
  DataConfig data;
  QuantConfig quant;
  CheckpointConfig checkpoint;
  RunConfig run;
  LogConfig log;

  /// Whether the stage is listed to run.
  bool runs(const std::string& stage) const;
  /// Settings of a stage that trains, whether or not it is listed to run; null for a stage that does not train.
  const StageConfig* find_stage(const std::string& which) const;
  const StageConfig& stage(const std::string& which) const { return training_.at(which); }
  StageConfig& stage(const std::string& which) { return training_.at(which); }

  /// What a data set, a family or a method has keys for: a struct of its own, which tells its defaults.
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
  std::map<std::string, StageConfig> training_;  // by name of the stage
  std::map<std::type_index, std::any> parts_;
};

/// Reads `file` (empty: none), the files it inherits and `overrides` (`a.b=v` or `--a.b=v`, v a YAML scalar or flow
/// list). Throws one Error(usage) with every problem on a line of its own, each headed by its place (`c.yaml:12:3:` or
/// `override 3:`), and a last line `2 errors; nothing was written`.
Config load_config(const ConfigSchema& schema, const std::filesystem::path& file,
                   std::span<const std::string> overrides = {});

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

/// Every key with default, meaning, allowed values and old flag, for --help.
std::string describe_keys(const ConfigSchema& schema);

/// JSON schema (draft 7) of a configuration file: completion in editors. configs/config.schema.json is this text.
std::string config_json_schema(const ConfigSchema& schema);

}  // namespace bsq
