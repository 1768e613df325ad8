// Model files, which may have been written by anybody: each is read once and opened once, with its card and its
// network.
#pragma once

#include "engine/config/config.h"
#include "engine/files/safetensors.h"
#include "engine/input/dataset.h"
#include "engine/model/model_card.h"
#include "engine/network/layer_kinds.h"
#include "engine/run/console.h"
#include "engine/training/stage.h"
#include "models/families.h"

#include <filesystem>

namespace bsq {

/// A model file as read: its card and its network; its weights have not been looked at yet.
struct ModelFile {
  TensorFile file;  // with normalized names; a packed model as bit planes
  bool packed = false;
  ModelCard card;
  NetworkSpec spec;
};

/// A model file with its contents checked. Its network is built once.
struct OpenModel : ModelFile {
  Quantizer quantizer;
  Network network;
  ArenaLayout layout;  // of the quantizable weights
  Weights weights;
};

/// Reads a model in any form from a file, a checkpoint folder, a run, or the folder of runs of one name. The console
/// says which tensors were renamed, and which weights are taken where a file of others has several sets (`weights`
/// names one, see take_weights). Throws Error(checkpoint), Error(usage).
ModelFile read_model(const std::filesystem::path& path, Console& console,
                     const std::optional<std::string>& weights = {});
/// The same for a file that has been read. Throws Error(checkpoint) if it is no network of ours.
ModelFile describe_model(TensorFile file);
/// Throws Error(checkpoint) unless the file holds every tensor of its network and no other.
OpenModel open_model(ModelFile model, const Quantizer& quantizer = {}, int max_bits = kMaxBits);

/// The tensors of a model with the quantized ones replaced, and the metadata with form and scheme of these.
TensorFile with_weights(const OpenModel& model, const StoredWeights& weights);
/// `resnet8 (depth 8, width 2)`.
std::string title_of(const NetworkSpec& spec);
/// Whether the weights of one network fit the other.
bool have_same_parameters(const Network& a, const Network& b);
/// Throws Error(checkpoint) unless the model reads pictures of as many channels as the configuration has.
void check_channels(const ModelFile& model, const Config& config);
/// Opens a model to begin a run with. Throws Error(checkpoint) if it is another network than the configured one,
/// Error(usage) if the first stage cannot start from it.
OpenModel open_start_model(ModelFile model, const Config& config);
/// Throws Error(checkpoint) unless the model tells as many classes apart as the data has, and those that both know by
/// name have the same numbers. Names that one of them does not know are a warning: classes may have been renamed.
void check_classes(const OpenModel& model, const DatasetInfo& images, Console& console);
/// What a user should know of the files of a data set and of the images that have been read.
void say_notes(const Dataset& images, Console& console);
/// The network of the model for images of this size: that of the model, unless they have another one. Throws
/// Error(checkpoint) if they have other channels.
Network network_for(const OpenModel& model, const DatasetInfo& images);

Quantizer quantizer_of(const Config& config);
/// What a model file says of its activations; not quantized if it says nothing that can be.
Quantizer quantizer_of(const ModelCard& card);
/// The configured network for images and classes of this set.
NetworkSpec network_of_run(const Config& config, const DatasetInfo& images);
/// The networks of the stages of a run; `card`: that of its model files.
NetworkFactory network_factory(const NetworkSpec& spec, const Config& config, ModelCard card);
/// Network, data and version: what the card of every model file of a run says.
ModelCard card_of_run(const NetworkSpec& spec, const Config& config, const DatasetInfo& images);

}  // namespace bsq
