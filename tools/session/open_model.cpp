// Opening models, and what a run's configuration says of its own.
#include "tools/session/open_model.h"

#include "data/synthetic.h"
#include "engine/files/checkpoint_dir.h"
#include "engine/model/model.h"
#include "engine/model/packed_model.h"
#include "kernels/base/error.h"
#include "tools/cli/build_info.h"

#include <set>

namespace bsq {

namespace fs = std::filesystem;

namespace {

/// A packed model becomes bit planes, names become ours; returns the renamings.
std::vector<std::string> normalize(TensorFile& file) {
  if (is_packed(file)) file = unpack(file);
  return normalize_names(file);
}

ModelFile identify(TensorFile file) {
  ModelCard card = read_card(file);
  const ResNetOptions options = resnet_options_of(file);
  return {std::move(file), std::move(card), options};
}

}  // namespace

ModelFile read_model(const fs::path& path, Console& console) {
  const fs::path found = resolve_checkpoint(path);
  TensorFile file = read_safetensors(fs::is_directory(found) ? found / "model.safetensors" : found);
  const std::vector<std::string> renamed = normalize(file);
  if (!renamed.empty())
    console.info(fmt::format("{}: {} tensors renamed ({}{})", file.path.string(), renamed.size(), renamed.front(),
                             renamed.size() > 1 ? ", ..." : ""));
  return identify(std::move(file));
}

ModelFile describe_model(TensorFile file) {
  normalize(file);
  return identify(std::move(file));
}

OpenModel open_model(ModelFile model, const Quantizer& quantizer, int max_bits) {
  model.options.activation = quantizer.activation;
  model.options.act_bits = quantizer.act_bits;
  model.options.static_act_scales = quantizer.static_scales;
  Network network = make_resnet(model.options);
  check_names(model.file, network);
  ArenaLayout layout = lay_out(network.parameters(), ParameterGroup::quantized);
  HostWeights weights = read_weights(model.file, layout, max_bits);
  return {std::move(model), std::move(network), std::move(layout), std::move(weights)};
}

TensorFile with_weights(const OpenModel& model, const HostWeights& weights) {
  ModelCard card = model.card;
  card.describe(weights, model.layout);
  TensorFile result;
  result.metadata = to_metadata(card);
  std::set<std::string> replaced;
  for (const ParameterSlot& slot : model.layout.slots) {
    const std::string& name = slot.spec.name;
    replaced.insert({name, plane_name(name, "p"), plane_name(name, "n"), plane_name(name, "u"), scale_name(name)});
  }
  for (const HostTensor& tensor : model.file.tensors)
    if (!replaced.contains(tensor.name)) result.tensors.push_back(tensor);
  for (HostTensor& tensor : weights_to_tensors(weights, model.layout)) result.tensors.push_back(std::move(tensor));
  return result;
}

void check_start_model(const ModelFile& model, const Config& config) {
  const ResNetOptions& found = model.options;
  const std::string path = model.file.path.string();
  if (found.depth != config.model.depth || found.width != config.model.width)
    fail(ErrorKind::checkpoint,
         "{}: is a ResNet-{} of width {}, the configuration says depth {}, width {}; set model.depth={} model.width={} "
         "or take another checkpoint",
         path, found.depth, found.width, config.model.depth, config.model.width, found.depth, found.width);
  const OpenModel opened = open_model(model, {}, config.quant.max_bits);
  if (form_of(opened.weights) == "float" && config.stages.front() == "finetune")
    fail(ErrorKind::usage,
         "{}: is a float model and has no bit widths to finetune under; put convert and bsq before finetune, or give "
         "planes (bsq convert makes them)",
         path);
}

void check_classes(const ModelFile& model, const ImageSet& images) {
  const int classes = model.options.num_classes;
  if (classes != images.num_classes())
    fail(ErrorKind::checkpoint, "{}: was trained for {} classes, the data has {}", model.file.path.string(), classes,
         images.num_classes());
}

DataOptions data_options(const Config& config) {
  return {.kind = config.data.kind,
          .root = config.data.root,
          .train_per_class = config.data.train_per_class,
          .test_per_class = config.data.test_per_class,
          .synthetic_train = config.part<SyntheticConfig>().train,
          .synthetic_test = config.part<SyntheticConfig>().test,
          .seed = config.seed};
}

Quantizer quantizer_of(const Config& config) {
  return {.activation = activation_from_name(block_activation(config.quant)),
          .act_bits = config.quant.act_bits,
          .static_scales = config.quant.act_scale == "calibrated"};
}

NetworkFactory network_factory(const Config& config, const ImageSet& images) {
  ResNetOptions options{.depth = config.model.depth,
                        .width = config.model.width,
                        .num_classes = images.num_classes(),
                        .image_height = images.height,
                        .image_width = images.width,
                        .static_act_scales = config.quant.act_scale == "calibrated"};
  return [options](Activation activation, int act_bits) {
    ResNetOptions chosen = options;
    chosen.activation = activation;
    chosen.act_bits = act_bits;
    return make_resnet(chosen);
  };
}

ModelCard card_of_run(const Config& config, const ImageSet& images) {
  ModelCard card;
  card.arch = config.model.arch;
  card.depth = config.model.depth;
  card.width = config.model.width;
  card.num_classes = images.num_classes();
  card.class_names = images.class_names;
  card.mean = config.data.mean;
  card.std = config.data.std;
  card.act_scale = config.quant.act_scale;
  card.eval_batch_size = config.data.eval_batch_size;
  card.bsq_version = kVersion;
  return card;
}

}  // namespace bsq
