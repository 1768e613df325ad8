// The configuration under which a model file is run: what it says about itself (network, activations, normalisation,
// evaluation batch), the data of its run or of --config, and overrides, which come last and win.
#pragma once

#include "engine/config/config.h"
#include "engine/run/console.h"
#include "tools/session/open_model.h"

#include <functional>
#include <string>
#include <vector>

namespace bsq {

struct ModelWords {
  std::string config_file;  // --config; empty: the configuration of the run that the model is in, or none
  std::vector<std::string> overrides;

  bool overrides_key(const std::string& key) const;
};

/// Throws Error(usage) unless somebody says which data a model is run on: a person, or the run that it is in.
void require_data(const ModelWords& words, const ModelFile& model);
/// The console says what is assumed, see say_assumptions().
Config config_of_model(const ModelWords& words, const ModelFile& model, Console& console);

/// Says which of the settings that a model is run with are in no way said by its file, as is usual for PyTorch files:
/// the activation, the bits of activations, the normalisation of images. A warning where the configuration does not say
/// the activation either. `says` tells whether a person has given a key.
void say_assumptions(const ModelFile& model, const Config& config,
                     const std::function<bool(const std::string& key)>& says, Console& console);

/// What a person types to give a model calibrated activation scales and change nothing else.
std::string calibration_command(const std::string& model);

/// Whether activations are quantized by scales of the model. Throws Error(usage) if they should be and the model lacks
/// them.
bool uses_calibrated_scales(const OpenModel& model, const Config& config);

}  // namespace bsq
