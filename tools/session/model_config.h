// The configuration under which a model file is run: what it says about itself (network, activations, normalisation,
// evaluation batch), the data of its run or of --config, and overrides, which have the last word.
#pragma once

#include "engine/config/config.h"
#include "engine/files/safetensors.h"
#include "engine/network/network.h"
#include "engine/run/console.h"

#include <string>
#include <vector>

namespace bsq {

struct ModelWords {
  std::string config_file;  // --config; empty: that of the run the model is in, or none
  std::vector<std::string> overrides;

  bool overrides_key(const std::string& key) const;
};

Config config_of_model(const ModelWords& words, const TensorFile& model, Console& console);

/// Whether activations are quantized by scales of the file. Throws Error(usage) where they should be and are not there.
bool uses_calibrated_scales(const TensorFile& file, const Config& config, const Network& network);

}  // namespace bsq
