// Pictures in, classes out, by the deployed arithmetic (METHOD 16).
#pragma once

#include "data/picture_fit.h"
#include "engine/deployed/deployed_network.h"
#include "tools/session/model_config.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bsq {

/// A model that can be run without its data.
struct Predictor {
  DeployedNetwork network;
  std::vector<std::string> class_names;  // one per class; numbers if the model has no names
  PictureFit fit = {};                   // how pictures of any size become its input
};

/// From a file of the format `deployed`; or from any other model that has such a form, by the data of its
/// configuration.
Predictor open_predictor(const std::filesystem::path& path, const ModelWords& words, Console& console);

struct Prediction {
  std::filesystem::path picture;
  int label = 0;
  std::vector<float> logits;
  std::vector<double> probabilities;  // softmax of the logits
};

/// The pictures among `paths`: files as they are, and what folders hold, however deep, sorted by name. Throws
/// Error(data) if one is not there, or a folder has none.
std::vector<std::filesystem::path> find_pictures(const std::vector<std::filesystem::path>& paths);

/// In the order of the pictures. Throws Error(data) naming a picture that cannot be read or has another size. The
/// console gets what a user should know of them.
std::vector<Prediction> predict(const Predictor& predictor, const std::vector<std::filesystem::path>& pictures,
                                int threads, Console& console);

}  // namespace bsq
