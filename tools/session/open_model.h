// Model files, which may have been written by anybody: each is read once and opened once, by its card and its network.
#pragma once

#include "data/datasets.h"
#include "engine/config/config.h"
#include "engine/files/safetensors.h"
#include "engine/input/image_set.h"
#include "engine/model/model_card.h"
#include "engine/network/quantizer.h"
#include "engine/run/console.h"
#include "engine/training/stage.h"
#include "models/resnet.h"

#include <filesystem>

namespace bsq {

/// A model file as read: what it is of, its weights not looked at yet.
struct ModelFile {
  TensorFile file;  // the names normalized; of a packed one in bit planes
  ModelCard card;
  ResNetOptions options;
};

/// What is in it, checked.
struct OpenModel : ModelFile {
  Network network;
  ArenaLayout layout;  // of the quantizable weights
  Weights weights;
};

/// A model in any form from a file, a checkpoint folder, a run, or the folder of runs of one name; renamed tensors are
/// said on the console. Throws Error(checkpoint).
ModelFile read_model(const std::filesystem::path& path, Console& console);
/// Of a file that has been read. Throws Error(checkpoint) where it is no network of ours.
ModelFile describe_model(TensorFile file);
/// Throws Error(checkpoint) unless the file holds every tensor of its network and no other.
OpenModel open_model(ModelFile model, const Quantizer& quantizer = {}, int max_bits = kMaxBits);

/// The tensors of a model with the quantized ones replaced, and the metadata with form and scheme of these.
TensorFile with_weights(const OpenModel& model, const StoredWeights& weights);
/// Throws Error(checkpoint) if the model is another network than the configured one, or cannot be opened, Error(usage)
/// if the first stage cannot start from it.
void check_start_model(const ModelFile& model, const Config& config);
/// Throws Error(checkpoint) unless the model tells as many classes apart as the data has.
void check_classes(const ModelFile& model, const ImageSet& images);

DataOptions data_options(const Config& config);
Quantizer quantizer_of(const Config& config);
/// Builds the configured network for images and classes of this set.
NetworkFactory network_factory(const Config& config, const ImageSet& images);
/// Network, data and version: what the card of every model file of a run says.
ModelCard card_of_run(const Config& config, const ImageSet& images);

}  // namespace bsq
