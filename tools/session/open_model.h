// Between the command line and the networks: factories, the facts every model file carries, and reading models that may
// have been written by anybody.
#pragma once

#include "engine/config/config.h"
#include "engine/files/safetensors.h"
#include "engine/input/dataset.h"
#include "engine/model/stored_weights.h"
#include "engine/run/console.h"
#include "engine/training/stage.h"
#include "models/resnet.h"

#include <filesystem>
#include <map>
#include <string>

namespace bsq {

/// Builds the configured network for images and classes of this set.
NetworkFactory network_factory(const Config& config, const DatasetInfo& images);

/// Architecture, data and version, as text: the metadata of every model file of a run.
std::map<std::string, std::string> model_metadata(const Config& config, const DatasetInfo& images);

/// A model in any form from a file, a checkpoint folder, a run, or the folder of runs of one name, its names
/// normalized (which is said on the console); a packed one comes as bit planes. Throws Error(checkpoint).
TensorFile read_model(const std::filesystem::path& path, Console& console);

/// Throws Error(checkpoint) unless the file holds every tensor of a network of ours and no other; returns its weights.
HostWeights check_model(const TensorFile& model, int max_bits = kMaxBits);
/// The tensors of `file` with the quantized ones replaced; metadata stays but for form and scheme.
TensorFile with_weights(const TensorFile& file, const HostWeights& weights, const ArenaLayout& layout);
/// check_model, and: Error(checkpoint) if it is another network than the configured one, Error(usage) if the first
/// stage cannot start from it.
void check_start_model(const TensorFile& model, const Config& config);
/// Throws Error(checkpoint) unless the model tells as many classes apart as the data has.
void check_classes(const TensorFile& model, const DatasetInfo& images);

}  // namespace bsq
