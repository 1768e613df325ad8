// Factories, metadata and checks of models.
#include "tools/session/open_model.h"

#include "engine/files/checkpoint_dir.h"
#include "engine/model/model.h"
#include "engine/model/packed_model.h"
#include "kernels/base/error.h"
#include "tools/cli/build_info.h"

#include <nlohmann/json.hpp>

#include <set>

namespace bsq {

namespace fs = std::filesystem;

NetworkFactory network_factory(const Config& config, const DatasetInfo& images) {
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

std::map<std::string, std::string> model_metadata(const Config& config, const DatasetInfo& images) {
  return {{"arch", config.model.arch},
          {"depth", std::to_string(config.model.depth)},
          {"width", std::to_string(config.model.width)},
          {"num_classes", std::to_string(images.num_classes())},
          {"class_names", nlohmann::json(images.class_names).dump()},
          {"mean", nlohmann::json(config.data.mean).dump()},
          {"std", nlohmann::json(config.data.std).dump()},
          {"act_scale", config.quant.act_scale},
          {"eval_batch_size", std::to_string(config.data.eval_batch_size)},
          {"bsq_version", kVersion}};
}

TensorFile read_model(const fs::path& path, Console& console) {
  const fs::path found = resolve_checkpoint(path);
  TensorFile file = read_safetensors(fs::is_directory(found) ? found / "model.safetensors" : found);
  if (is_packed(file)) file = unpack(file);
  const std::vector<std::string> renamed = normalize_names(file);
  if (!renamed.empty())
    console.info(fmt::format("{}: {} tensors renamed ({}{})", file.path.string(), renamed.size(), renamed.front(),
                             renamed.size() > 1 ? ", ..." : ""));
  return file;
}

HostWeights check_model(const TensorFile& model, int max_bits) {
  const Network network = make_resnet(resnet_options_of(model));
  check_names(model, network);
  return read_weights(model, lay_out(network.parameters(), ParameterGroup::quantized), max_bits);
}

TensorFile with_weights(const TensorFile& file, const HostWeights& weights, const ArenaLayout& layout) {
  TensorFile result;
  result.metadata = file.metadata;
  result.metadata["format"] = "pt";
  result.metadata["form"] = std::string(form_of(weights));
  result.metadata.erase("scheme");
  std::set<std::string> replaced;
  for (const ParameterSlot& slot : layout.slots) {
    const std::string& name = slot.spec.name;
    replaced.insert({name, plane_name(name, "p"), plane_name(name, "n"), plane_name(name, "u"), scale_name(name)});
  }
  for (const HostTensor& tensor : file.tensors)
    if (!replaced.contains(tensor.name)) result.tensors.push_back(tensor);
  if (const auto* planes = std::get_if<std::vector<BitPlanes>>(&weights)) {
    result.metadata["scheme"] = scheme_to_json(weights, layout);
    for (HostTensor& tensor : planes_to_tensors(*planes, layout)) result.tensors.push_back(std::move(tensor));
    return result;
  }
  const auto& dense = std::get<DenseTensors>(weights);
  for (std::size_t i = 0; i < dense.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    result.tensors.push_back(
        HostTensor::from<float>(spec.name, file_shape(spec.shape), to_file_layout(dense[i], spec.shape)));
  }
  return result;
}

void check_start_model(const TensorFile& model, const Config& config) {
  const ResNetOptions found = resnet_options_of(model);
  if (found.depth != config.model.depth || found.width != config.model.width)
    fail(ErrorKind::checkpoint,
         "{}: is a ResNet-{} of width {}, the configuration says depth {}, width {}; set model.depth={} model.width={} "
         "or take another checkpoint",
         model.path.string(), found.depth, found.width, config.model.depth, config.model.width, found.depth,
         found.width);
  if (form_of(check_model(model, config.quant.max_bits)) == "float" && config.stages.front() == "finetune")
    fail(ErrorKind::usage,
         "{}: is a float model and has no bit widths to finetune under; put convert and bsq before finetune, or give "
         "planes (bsq convert makes them)",
         model.path.string());
}

void check_classes(const TensorFile& model, const DatasetInfo& images) {
  const int classes = resnet_options_of(model).num_classes;
  if (classes != images.num_classes())
    fail(ErrorKind::checkpoint, "{}: was trained for {} classes, the data has {}", model.path.string(), classes,
         images.num_classes());
}

}  // namespace bsq
