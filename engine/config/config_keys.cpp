// The keys that all experiments have, and between them the places for the keys that choices add. A row is: name, field,
// allowed values, meaning with unit, old flag, whether it may change on resume.
#include "engine/config/config_keys.h"

#include "engine/config/config_schema.h"
#include "engine/config/family_keys.h"
#include "kernels/types.h"

namespace bsq {
namespace {

constexpr bool kMayChange = true;  // on resume

template <typename Choice>
std::vector<std::string> names_of(const std::vector<Choice>& choices) {
  std::vector<std::string> names;
  for (const Choice& choice : choices) names.push_back(choice.name);
  return names;
}

void add_keys(ConfigSchema& schema, const ConfigChoice& choice) {
  if (choice.add_keys != nullptr) choice.add_keys(schema);
}

}  // namespace

ConfigSchema::ConfigSchema(const ConfigChoices& choices)
    : families_(names_of(choices.families)), data_sets_(names_of(choices.data_sets)), stages_(choices.stages) {
  add_root();
  add_model(choices.families);
  add_data(choices);
  add_quant();
  add_distill();
  for (const StageChoice& stage : choices.stages) add_keys(*this, stage);
  add_files();
  const Config standard(*this);
  for (ConfigKey& key : keys_) key.standard = key.field.get(standard);
}

void ConfigSchema::add_root() {
  const Allowed devices = one_of({"auto", "cpu", "reference", "cuda"});
  auto root = rows(
      "", [](auto& config) -> auto& { return config; });
  root.add("name", &Config::name, anything(), "name of the run and of its folder");
  root.add("seed", &Config::seed, at_least(0), "of start weights, shuffling and augmentation", "--manualSeed");
  root.add("device", &Config::device, devices, "where to compute; auto: the fastest there is", "", kMayChange);
  root.add("threads", &Config::threads, between(0, 4096),
           "CPU threads; 0 = all cores, or as many as OMP_NUM_THREADS, affinity or control group leave", "",
           kMayChange);
  root.add("precision", &Config::precision, one_of({"fp32", "tf32", "bf16"}), "of the operands of convolutions");
  root.add("stages", &Config::stages, one_of(names_of(stages_)),
           "stages to run, in this order; leave out what is not needed");
}

void ConfigSchema::add_model(const std::vector<ConfigChoice>& families) {
  auto model = rows(
      "model", [](auto& config) -> auto& { return config.model; });
  model.add("arch", &ModelConfig::arch, one_of(families_), "family of networks", "--arch");
  for (const ConfigChoice& family : families) add_keys(*this, family);
  add_check("model", check_family_keys);
  model.add("network", &ModelConfig::network, a_path(), "file of a network, in place of the family's");
  model.add("sync_batch_norm", &ModelConfig::sync_batch_norm, anything(),
            "batch statistics and activation scales are those of the whole batch, not of each rank's slice");
  model.add("init", &ModelConfig::init, a_path(), "checkpoint folder or .safetensors to start from", "--model");
  model
      .add("init_classifier", &ModelConfig::init_classifier, one_of({"keep", "fresh"}),
           "the last layer of init: as it is, or fresh: with start values, for other classes than it was trained for")
      .applies = [](const Config& config) { return !config.model.init.empty(); };
}

void ConfigSchema::add_data(const ConfigChoices& choices) {
  constexpr double kLargestAlpha = 100;
  constexpr double kSmallestDeviation = 1e-3;  // pixels are divided by it; a quarter of one level of 255
  auto data = rows(
      "data", [](auto& config) -> auto& { return config.data; });
  data.add("kind", &DataConfig::kind, one_of(data_sets_), "data set, or its format", "--dataset");
  data.add("root", &DataConfig::root, a_path(), "folder of the data set", "", kMayChange);
  data.add("train_per_class", &DataConfig::train_per_class, at_least(0),
           "first N training images of each class; 0 = all");
  data.add("test_per_class", &DataConfig::test_per_class, at_least(0), "first N test images of each class; 0 = all");
  data.add(
      "holdout", &DataConfig::holdout, between(0, 0.5),
      "share of the training images of every class that is not trained on: the best epoch is chosen on them, and not "
      "on the test set; 0 = none");
  for (const ConfigChoice& data_set : choices.data_sets) add_keys(*this, data_set);
  data.add("batch_size", &DataConfig::batch_size, between(1, 65536), "images per training step, of all ranks together",
           "--train-batch");
  data.add("eval_batch_size", &DataConfig::eval_batch_size, between(1, 65536),
           "images per evaluation step; activation scales are per batch", "--test-batch");
  data.add("crop", &DataConfig::crop, one_of({"pad", "random_resized"}),
           "how training images are cropped: behind crop_padding zeros; or a random part of a picture of a folder or "
           "archive, "
           "resized to image_size");
  data.add("crop_padding", &DataConfig::crop_padding, between(0, 64),
           "pixels of zeros before the random crop; 0 = no crop")
      .applies = [](const Config& config) { return config.data.crop == "pad"; };
  data.add("crop_area", &DataConfig::crop_area, between(0.01, 1),
           "least share of a picture's area that random_resized takes; the most is 1, of sides from 3:4 to 4:3")
      .applies = [](const Config& config) { return config.data.crop == "random_resized"; };
  data.add("crop_decode", &DataConfig::crop_decode, one_of({"exact", "reduced"}),
           "how random_resized decodes a JPEG: exact; or reduced, which saves time with large ones: at 1/2, 1/4 or 1/8 "
           "of its size, where the part is then still twice as large as image_size; other pixels, mostly by a level or "
           "two")
      .applies = [](const Config& config) { return config.data.crop == "random_resized"; };
  data.add("flip", &DataConfig::flip, anything(), "mirror half of the training images");
  for (const ConfigChoice& augmentation : choices.augmentations) add_keys(*this, augmentation);
  data.add("mixup", &DataConfig::mixup, between(0, kLargestAlpha),
           "alpha of mixup: images of a batch are averaged with each other, labels as well, with a share of "
           "Beta(alpha, alpha); 0 = off");
  data.add("cutmix", &DataConfig::cutmix, between(0, kLargestAlpha),
           "alpha of CutMix: likewise, but a rectangle is the other image's; with both, each batch takes one of them; "
           "0 = off");
  data.add("memory", &DataConfig::memory, between(0, 1e6),
           "GiB that decoded images may take; sets that take more are read again in every epoch; 0 = half of what the "
           "machine has",
           "", kMayChange);
  data.add("readers", &DataConfig::readers, between(0, 1024),
           "threads that read images which are not kept; 0 = as many as compute", "", kMayChange);
  data.add("mean", &DataConfig::mean, between(0, 1),
           "subtracted from red, green, blue in 0..1; of gray pictures one number");
  data.add("std", &DataConfig::std, at_least(kSmallestDeviation), "red, green, blue are then divided by it");
}

void ConfigSchema::add_quant() {
  const Allowed activations = one_of({"auto", "relu", "relu6", "pact", "lsq"});
  auto quant = rows(
      "quant", [](auto& config) -> auto& { return config.quant; });
  quant
      .add("weight_bits", &QuantConfig::weight_bits, between(1, kMaxBits),
           "bits of every layer where its quantization begins, beside a sign; of dorefa with the sign", "--Nbits")
      .is_of_grids = true;
  quant.add("max_bits", &QuantConfig::max_bits, between(1, kMaxBits), "most bits that a layer may get");
  quant.add("act_bits", &QuantConfig::act_bits, between(0, 8),
            "activation bits in stages that quantize weights; 0 = not quantized", "--act");
  quant.add("activation", &QuantConfig::activation, activations,
            "activation of the blocks; auto: pact for 1..3 act_bits, else relu6; lsq: the step of each is learned, "
            "relu in stages that quantize none");
  quant
      .add("signed", &QuantConfig::signed_numbers, one_of({"float", "lsq_plus"}),
           "numbers of either sign that quantized layers read, as behind MobileNetV2's bottlenecks; lsq_plus: they are "
           "quantized as well, by a step and an offset that are learned")
      .applies = [](const Config& config) { return config.quant.activation == "lsq"; };
  quant.add("act_scale", &QuantConfig::act_scale, one_of({"batch_max", "calibrated"}),
            "activation scale in evaluation: the maximum of each batch, as published, or fixed, as deployment needs");
  quant.add("calibration_batches", &QuantConfig::calibration_batches, between(1, 1e6),
            "batches of data.eval_batch_size training images that calibrated scales are the mean maximum of");
  quant.add("deployed", &QuantConfig::deployed, anything(),
            "train under the arithmetic of deployment: round what integers round besides; needs calibrated scales");
  quant.add("scheme", &QuantConfig::scheme, anything(),
            "a file with the widths of all layers (bsq scheme writes one), or what stands in it; quant.layers wins");
  quant.add("layers", &QuantConfig::layers, anything(), "widths of single layers, by name or pattern; later ones win");
  quant.add("projections", &QuantConfig::projections, anything(),
            "quantize the 1x1 convolutions of shortcuts as well, which stay float as published");
}

void ConfigSchema::add_distill() {
  constexpr double kColdest = 1e-3;  // logits are divided by it
  auto distill = rows(
      "distill", [](auto& config) -> auto& { return config.distill; });
  distill.add("model", &DistillConfig::model, a_path(),
              "float model to learn from beside the labels: checkpoint folder or .safetensors; none: labels alone", "",
              kMayChange);
  distill.add("weight", &DistillConfig::weight, between(0, 1),
              "share of the teacher in the loss; the labels have the rest");
  distill.add("temperature", &DistillConfig::temperature, at_least(kColdest),
              "what the logits of both models are divided by, before they are compared");
  distill.add("stages", &DistillConfig::stages, one_of(names_of(stages_)),
              "stages that learn from it; none: all that train weights with bit widths");
}

void ConfigSchema::add_training(const std::string& name, const StageConfig& standard) {
  training_[name] = standard;
  auto stage = rows(
      name, [name](auto& config) -> auto& { return config.stage(name); });
  stage.add("epochs", &StageConfig::epochs, at_least(0), "passes over the training set", "--epochs");
  stage.add("lr", &StageConfig::lr, at_least(0), "learning rate, after the warm-up if there is one", "--lr");
  stage.add("schedule", &StageConfig::schedule, one_of({"milestones", "cosine"}),
            "how lr falls: at milestones, or as half a cosine to 0");
  stage.add("warmup_epochs", &StageConfig::warmup_epochs, at_least(0),
            "epochs in which lr rises to its full value in equal steps");
  stage.add("momentum", &StageConfig::momentum, between(0, 1), "momentum of SGD", "--momentum");
  stage.add("nesterov", &StageConfig::nesterov, anything(), "momentum as Nesterov's, in PyTorch's form");
  stage.add("weight_decay", &StageConfig::weight_decay, at_least(0),
            "weight decay of all parameters but those of no_decay", "--wd");
  stage.add("no_decay", &StageConfig::no_decay, one_of({"norms", "biases", "pact", "scales"}),
            "what weight decay leaves alone: gamma and beta, biases, PACT's ceilings, scales of planes and of u");
  stage.add("milestones", &StageConfig::milestones, at_least(1),
            "epochs from which lr is multiplied by gamma; not of a cosine", "--schedule");
  stage.add("gamma", &StageConfig::gamma, between(0, 1), "factor of lr at each milestone", "--gamma");
  stage.add("label_smoothing", &StageConfig::label_smoothing, between(0, 1),
            "part of every label that is spread evenly over all classes; the training loss in logs has it, too");
  stage.add("clip_norm", &StageConfig::clip_norm, at_least(0),
            "largest norm of the gradients of all weights together, before each step; 0 = no limit");
  stage.add(
      "ema", &StageConfig::ema, between(0, 1),
      "what a moving average of the weights keeps of itself in a step, below 1; evaluated and handed on; 0 = none");
}

void ConfigSchema::add_files() {
  auto checkpoint = rows(
      "checkpoint", [](auto& config) -> auto& { return config.checkpoint; });
  checkpoint.add("every_epochs", &CheckpointConfig::every_epochs, at_least(1), "epochs from one checkpoint to the next",
                 "", kMayChange);
  checkpoint.add("keep_last", &CheckpointConfig::keep_last, at_least(1), "newest checkpoints kept beside the best", "",
                 kMayChange);
  auto run = rows(
      "run", [](auto& config) -> auto& { return config.run; });
  run.add("dir", &RunConfig::dir, a_path(), "a run writes to <run.dir>/<name>/", "--checkpoint", kMayChange);
  auto log = rows(
      "log", [](auto& config) -> auto& { return config.log; });
  log.add("every_steps", &LogConfig::every_steps, at_least(0),
          "steps from one step line to the next; 0 = epoch lines only", "", kMayChange);
  log.add("tensorboard", &LogConfig::tensorboard, anything(), "event files for TensorBoard in tb/ of the run", "",
          kMayChange);
  log.add("tensorboard_layers", &LogConfig::tensorboard_layers, anything(),
          "write the bits of every layer to them as well", "", kMayChange);
}

}  // namespace bsq
