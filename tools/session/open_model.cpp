// Opening models, and what the configuration of a run says about its own.
#include "tools/session/open_model.h"

#include "data/picture_fit.h"
#include "engine/base/text.h"
#include "engine/deployed/deployed_file.h"
#include "engine/files/checkpoint_dir.h"
#include "engine/methods/methods.h"
#include "engine/methods/weight_forms.h"
#include "engine/model/model.h"
#include "engine/methods/packed_model.h"
#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"
#include "tools/cli/build_info.h"
#include "tools/session/fresh_classifier.h"
#include "tools/session/network_checks.h"
#include "tools/session/weight_sets.h"

#include <algorithm>
#include <set>

namespace bsq {

namespace fs = std::filesystem;

namespace {

template <typename... Args>
[[noreturn]] void refuse(const TensorFile& file, fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorKind::checkpoint, "{}: {}", file.path.string(),
       excerpt(fmt::format(format, std::forward<Args>(args)...), 2000));
}

/// The network that the file says, or that its tensors show.
NetworkSpec network_of(const TensorFile& file, const ModelCard& card) {
  if (!card.network)
    return recognize_network([&](const std::string& parameter) { return find_parameter(file, parameter); },
                             file.path.string());
  try {
    NetworkSpec spec = spec_from_text(*card.network);
    if (spec.image.rank != 3) throw SpecError(-1, "image", "is missing");
    return spec;
  } catch (const SpecError& error) {
    refuse(file, "metadata 'network': {}; the file is damaged", error.what());
  }
}

ModelFile identify(TensorFile file, bool packed) {
  ModelCard card = read_card(file);
  NetworkSpec spec = network_of(file, card);
  return {std::move(file), packed, std::move(card), std::move(spec)};
}

/// What a file has becomes a model of ours: a packed model bit planes, names ours, unless the file says its network,
/// whose names it has. A console says what changes on the way; null: nobody does.
ModelFile make_ready(TensorFile file, Console* console, const std::optional<std::string>& weights = {}) {
  const auto say = [&](const std::string& what) {
    if (console != nullptr) console->info(fmt::format("{}: {}", file.path.string(), what));
  };
  const bool packed = is_packed(file);
  if (const int widened = file.halves + widen_to_float32(file); widened > 0)
    say(fmt::format("{} tensors of other floating-point types are read as float32", widened));
  check_finite(file);
  if (packed) file = unpack(file);
  if (!read_card(file).network) {
    take_weights(file, weights, say);
    if (const std::vector<std::string> renamed = normalize_names(file); !renamed.empty())
      say(fmt::format("{} tensors renamed ({}{})", renamed.size(), renamed.front(), renamed.size() > 1 ? ", ..." : ""));
  } else if (weights) {
    fail(ErrorKind::usage, "--weights: {} is a model of bsq and has one set of weights", file.path.string());
  }
  return identify(std::move(file), packed);
}

/// `depth 8, width 2`; nothing if no family made the network.
std::string settings_words(const NetworkSpec& spec, const char* before, const char* equals, const char* between) {
  std::string words;
  for (const auto& [key, value] : spec.settings.items())
    words += fmt::format("{}{}{}{}{}", words.empty() ? "" : between, before, key, equals,
                         value.is_string() ? value.get<std::string>() : value.dump());
  return words;
}

bool same_tensor(const ParameterSpec& x, const ParameterSpec& y) {
  return x.name == y.name && x.shape == y.shape;
}

/// Roles of layers may differ while weights are float.
void check_same_roles(const OpenModel& model, const Network& configured) {
  if (!model.weights->is_quantized()) return;
  for (std::size_t i = 0; i < configured.parameters().size(); ++i) {
    const ParameterSpec& wanted = configured.parameters()[i];
    if (model.network.parameters()[i].group == wanted.group) continue;
    const bool is_float = wanted.group == ParameterGroup::plain;
    refuse(model.file,
           "{} {} bit widths, by quant.layers and quant.projections it {}; change these, or start from float weights "
           "(bsq convert --to float)",
           wanted.name, is_float ? "has" : "has no", is_float ? "stays float" : "should have some");
  }
}

/// A ceiling of LSQ has no value that would do for a model without it, nor have a step and an offset of LSQ+.
void check_learned_steps(const TensorFile& file, const Network& network) {
  for (const ParameterSpec& parameter : network.parameters()) {
    if (file.find(parameter.name) != nullptr) continue;
    if (parameter.role == Role::lsq_clip)
      fail(ErrorKind::usage, "{}: has no {}, for its activations learned no steps; leave quant.activation=lsq out",
           file.path.string(), parameter.name);
    if (parameter.role == Role::quantizer_step || parameter.role == Role::quantizer_offset)
      fail(ErrorKind::usage, "{}: has no {}, for it learned no offsets; evaluate with quant.signed=float",
           file.path.string(), parameter.name);
  }
}

/// `cat, dog, ...`
std::string short_list(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 10;
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), kMost));
  return fmt::format("{}{}", fmt::join(names.begin(), end, ", "), names.size() > kMost ? ", ..." : "");
}

/// `ignored`: a layer whose parameters may be others; empty: none.
void check_same_network(const OpenModel& model, const NetworkSpec& spec, const Network& configured,
                        const std::string& ignored) {
  const auto &own = model.network.parameters(), &wanted = configured.parameters();
  const auto same = [&](const ParameterSpec& x, const ParameterSpec& y) {
    return same_tensor(x, y) || (x.name == y.name && !ignored.empty() && belongs_to(x, ignored));
  };
  if (std::equal(own.begin(), own.end(), wanted.begin(), wanted.end(), same))
    return check_same_roles(model, configured);
  std::string keys = settings_words(model.spec, "model.", "=", " ");
  if (keys.empty()) keys = "model.network to what bsq inspect --network prints of it";
  refuse(model.file, "is {}, the configuration says {}; set {} or take another checkpoint", title_of(model.spec),
         title_of(spec), keys);
}

}  // namespace

std::string title_of(const NetworkSpec& spec) {
  const std::string settings = settings_words(spec, "", " ", ", ");
  return settings.empty() ? spec.name : fmt::format("{} ({})", spec.name, settings);
}

bool have_same_parameters(const Network& a, const Network& b) {
  const auto same = [](const ParameterSpec& x, const ParameterSpec& y) {
    return same_tensor(x, y) && x.group == y.group;
  };
  return std::equal(a.parameters().begin(), a.parameters().end(), b.parameters().begin(), b.parameters().end(), same);
}

ModelFile read_model(const fs::path& path, Console& console, const std::optional<std::string>& weights) {
  const fs::path found = resolve_checkpoint(path);
  TensorFile file = read_safetensors(fs::is_directory(found) ? found / "model.safetensors" : found);
  if (is_deployed(file))
    refuse(file,
           "is a deployed model, integers for bsq predict and bsq check; give the model that it was exported from");
  return make_ready(std::move(file), &console, weights);
}

ModelFile describe_model(TensorFile file) {
  return make_ready(std::move(file), nullptr);
}

OpenModel open_model(ModelFile model, const Quantizer& quantizer, int max_bits) {
  const auto build = [&] {
    try {
      return build_network(model.spec, quantizer);
    } catch (const SpecError& error) {
      refuse(model.file, "metadata 'network': {}; the file is damaged", error.what());
    }
  };
  Network network = build();
  check_names(model.file, network);
  check_states(model.file, network);
  check_learned_steps(model.file, network);
  ArenaLayout layout = lay_out(network.parameters(), ParameterGroup::quantized);
  Weights weights = read_weights(model.file, layout, max_bits);
  return {std::move(model), quantizer, std::move(network), std::move(layout), std::move(weights)};
}

TensorFile with_weights(const OpenModel& model, const StoredWeights& weights) {
  ModelCard card = model.card;
  card.describe(weights, model.layout);
  TensorFile result;
  result.metadata = to_metadata(card);
  std::set<std::string> replaced;
  for (const ParameterSlot& slot : model.layout.slots) replaced.merge(names_in_any_form(slot.spec.name));
  for (const HostTensor& tensor : model.file.tensors)
    if (!replaced.contains(tensor.name)) result.tensors.push_back(tensor);
  for (HostTensor& tensor : weights.tensors(model.layout)) result.tensors.push_back(std::move(tensor));
  return result;
}

void check_channels(const ModelFile& model, const Config& config) {
  const std::int64_t channels = model.spec.image[2];
  if (channels == config.data.channels) return;
  refuse(model.file, "reads {} pictures, the configuration has data.channels = {}; set data.channels to {}, or take {}",
         channels == 1 ? "gray" : "coloured", config.data.channels, channels,
         channels == 1 ? "a model of coloured ones" : "one of gray ones");
}

OpenModel open_start_model(ModelFile model, const Config& config) {
  check_channels(model, config);
  OpenModel opened = open_model(std::move(model), {}, config.quant.max_bits);
  const NetworkSpec spec = configured_network(config, opened.spec.image, opened.network.num_classes());
  const Network configured = build_network(spec);
  const bool is_fresh = config.model.has_fresh_classifier();
  check_same_network(opened, spec, configured, is_fresh ? classifier_of(configured) : "");
  if (is_fresh && opened.weights->is_quantized())
    fail(ErrorKind::usage,
         "{}: is quantized, and model.init_classifier: fresh replaces float weights; start from a float model "
         "(model_float.safetensors beside a quantized one), or give the data the model's classes",
         opened.file.path.string());
  const ArenaLayout layout = lay_out(configured.parameters(), ParameterGroup::quantized);
  const std::unique_ptr<Method> first = method_of_stage(config.stages.front(), config);
  if (const std::string why = first->refusal(*opened.weights, layout); !why.empty())
    fail(ErrorKind::usage, "{}: {}", opened.file.path.string(), why);
  DatasetInfo images;
  images.class_names = opened.card.class_names.value_or(std::vector<std::string>());
  check_network(config, spec, card_of_run(spec, config, images));
  return opened;
}

void check_classes(const OpenModel& model, const DatasetInfo& images, Console& console) {
  const int classes = model.network.num_classes();
  if (classes != images.num_classes())
    refuse(model.file, "was trained for {} classes, the data has {}", classes, images.num_classes());
  if (!model.card.class_names || *model.card.class_names == images.class_names) return;
  const std::vector<std::string>& names = *model.card.class_names;
  if (names.size() != images.class_names.size()) refuse(model.file, "has names for {} classes", names.size());

  int renamed = 0;
  std::string first;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string& of_data = images.class_names[i];
    if (names[i] == of_data) continue;
    if (const auto moved = std::find(names.begin(), names.end(), of_data); moved != names.end())
      refuse(model.file,
             "class {} of the data is '{}', which is class {} of the model: the classes have another order, as after a "
             "class was added, removed or renamed; give the data the model's classes ({})",
             i, of_data, moved - names.begin(), short_list(names));
    if (renamed++ == 0) first = fmt::format("class {} is '{}' in the model and '{}' in the data", i, names[i], of_data);
  }
  console.warning(fmt::format("{}: {}{}; if these are not the same classes under other names, the results mean nothing",
                              model.file.path.string(), first,
                              renamed == 1 ? "" : fmt::format(", and {} more differ", renamed - 1)));
}

void say_notes(const Dataset& images, Console& console) {
  for (const std::string& note : images.notes()) console.warning(note);
}

Network network_for(const OpenModel& model, const DatasetInfo& images) {
  const Shape image = images.image();
  if (model.spec.image == image) return model.network;
  if (model.spec.image[2] != image[2])
    refuse(model.file, "reads pictures of {} channels, the data has {}", model.spec.image[2], image[2]);
  NetworkSpec spec = model.spec;
  spec.image = image;
  return build_network(spec, model.quantizer);
}

Quantizer quantizer_of(const Config& config) {
  return {.activation = activation_from_name(block_activation(config.quant)),
          .act_bits = config.quant.act_bits,
          .static_scales = config.quant.act_scale == "calibrated",
          .quantizes_signed = config.quant.quantizes_signed(),
          .rounds_to_ranges = config.quant.deployed && config.quant.act_bits > 0};
}

Quantizer quantizer_of(const ModelCard& card) {
  constexpr int kMostActBits = 8;
  Quantizer quantizer;
  for (const Activation activation : kActivations)
    if (card.activation == name_of(activation)) quantizer.activation = activation;
  if (card.act_bits && *card.act_bits >= 0 && *card.act_bits <= kMostActBits) quantizer.act_bits = *card.act_bits;
  quantizer.static_scales = card.act_scale == "calibrated";
  quantizer.quantizes_signed = card.signed_numbers == "lsq_plus";
  quantizer.rounds_to_ranges = card.deployed.value_or(false) && quantizer.act_bits > 0;
  return quantizer;
}

NetworkSpec network_of_run(const Config& config, const DatasetInfo& images) {
  NetworkSpec spec = configured_network(config, images.image(), images.num_classes());
  const int classes = build_network(spec).num_classes();
  if (classes != images.num_classes())
    fail(ErrorKind::usage, "{}: the last node gives {} numbers, the data has {} classes", config.model.network, classes,
         images.num_classes());
  return spec;
}

NetworkFactory network_factory(const NetworkSpec& spec, const Config& config, ModelCard card) {
  const bool static_scales = config.quant.act_scale == "calibrated";
  card.format = "pt";
  card.stage = *std::ranges::max_element(config.stages, {}, &std::string::size);  // files of any of them are to fit
  return [spec, static_scales, quantizes_signed = config.quant.quantizes_signed(), deployed = config.quant.deployed,
          card](Activation activation, int act_bits) {
    Network network = build_network(spec, {.activation = activation,
                                           .act_bits = act_bits,
                                           .static_scales = static_scales,
                                           .quantizes_signed = quantizes_signed,
                                           .rounds_to_ranges = deployed && act_bits > 0});
    ModelCard of_files = card;
    of_files.activation = name_of(activation);
    of_files.act_bits = act_bits;
    network.set_packed_rest(packed_rest_bytes(network, of_files));
    return network;
  };
}

ModelCard card_of_run(const NetworkSpec& spec, const Config& config, const DatasetInfo& images) {
  ModelCard card;
  card.network = to_json(spec).dump();
  if (config.model.network.empty()) card.arch = config.model.arch;
  const auto setting = [&](const char* key) {
    const auto found = spec.settings.find(key);
    const bool is_there = found != spec.settings.end() && found->is_number_integer();
    return is_there ? std::optional<int>(found->get<int>()) : std::nullopt;
  };
  card.depth = setting("depth");
  card.width = setting("width");
  card.num_classes = images.num_classes();
  card.class_names = images.class_names;
  card.mean = config.data.mean;
  card.std = config.data.std;
  if (const PictureFit fit = fit_of(config.data); fit.resize > 0) {
    card.image_size = config.data.image_size;
    card.resize = fit.resize;
    card.interpolation = config.data.interpolation;
  }
  card.act_scale = config.quant.act_scale;
  if (config.quant.quantizes_signed()) card.signed_numbers = config.quant.signed_numbers;
  if (config.quant.deployed) card.deployed = true;
  card.eval_batch_size = config.data.eval_batch_size;
  card.bsq_version = kVersion;
  return card;
}

}  // namespace bsq
