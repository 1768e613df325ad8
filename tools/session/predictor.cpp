#include "tools/session/predictor.h"

#include "data/image_file.h"
#include "data/picture_fit.h"
#include "engine/deployed/deployed_file.h"
#include "engine/deployed/deployed_run.h"
#include "engine/model/model_card.h"
#include "kernels/base/error.h"
#include "kernels/devices.h"
#include "tools/session/deployed_model.h"
#include "tools/session/open_model.h"

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

namespace fs = std::filesystem;

/// Names of as many classes as there are; numbers if the card says nothing that fits.
std::vector<std::string> names_of(const ModelCard& card, int classes) {
  if (card.class_names && static_cast<int>(card.class_names->size()) == classes) return *card.class_names;
  std::vector<std::string> names;
  for (int i = 0; i < classes; ++i) names.push_back(std::to_string(i));
  return names;
}

/// Refuses a square of pixels that is not what the network takes.
void check_size(const DataConfig& data, const DeployedNetwork& network, ErrorKind kind, const std::string& what) {
  const DeployedTensor& input = network.tensors[0];
  if (data.image_size == 0 || (input.height == data.image_size && input.width == data.image_size)) return;
  fail(kind, "{}: the network takes {}x{} pixels, data.image_size is {}; {}", what, input.width, input.height,
       data.image_size,
       kind == ErrorKind::checkpoint ? "the file is damaged" : "leave it out, the model says it itself");
}

/// Of a deployed file.
PictureFit fit_of_card(const ModelCard& card, const DeployedNetwork& network, const std::string& path) {
  for (const char* key : {"image_size", "resize", "interpolation"})
    if (const std::string* text = damaged_text(card, key))
      fail(ErrorKind::checkpoint, "{}: metadata '{}' is {}; the file is damaged", path, key, *text);
  DataConfig data;
  data.channels = network.tensors[0].channels;
  data.image_size = card.image_size.value_or(0);
  data.resize = card.resize.value_or(0);
  data.interpolation = card.interpolation.value_or(data.interpolation);
  check_fit_of_model(data, path);
  check_size(data, network, ErrorKind::checkpoint, path);
  return fit_of(data);
}

std::vector<double> softmax(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> shares;
  double sum = 0;
  for (const float logit : logits) sum += shares.emplace_back(std::exp(double{logit} - largest));
  for (double& share : shares) share /= sum;
  return shares;
}

}  // namespace

Predictor open_predictor(const fs::path& path, const ModelWords& words, Console& console) {
  if (fs::is_regular_file(path)) {
    const TensorFile file = read_safetensors(path);
    if (is_deployed(file)) {
      if (!words.overrides.empty())
        fail(ErrorKind::usage, "{}: a deployed model says all that it needs; leave out {}", path.string(),
             words.overrides.front());
      Predictor predictor{read_deployed(file), {}};
      const ModelCard card = read_card(file);
      predictor.class_names = names_of(card, predictor.network.head.classes());
      predictor.fit = fit_of_card(card, predictor.network, path.string());
      return predictor;
    }
  }
  ModelFile read = read_model(path, console);
  require_data(words, read);
  const Config config = config_of_model(words, read, console);
  const OpenModel model = open_model(std::move(read), quantizer_of(config));
  const auto backend = make_backend("cpu", {.threads = config.threads});
  Predictor predictor{deploy_model(model, model.weights, model.network, config, *backend).network, {}};
  predictor.class_names = names_of(model.card, predictor.network.head.classes());
  check_size(config.data, predictor.network, ErrorKind::usage, path.string());
  predictor.fit = fit_of(config.data);
  return predictor;
}

std::vector<fs::path> find_pictures(const std::vector<fs::path>& paths) {
  std::vector<fs::path> pictures;
  for (const fs::path& path : paths) {
    std::error_code code;
    if (!fs::is_directory(path, code)) {
      if (!fs::exists(path, code)) fail(ErrorKind::data, "'{}': no such picture; check the path", path.string());
      pictures.push_back(path);
      continue;
    }
    std::vector<fs::path> inside;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path, code))
      if (entry.is_regular_file(code) && has_image_name(entry.path())) inside.push_back(entry.path());
    check_file(code, ErrorKind::data, path, "cannot be listed");
    if (inside.empty()) fail(ErrorKind::data, "{}: has no pictures ({})", path.string(), image_name_pattern());
    std::sort(inside.begin(), inside.end());
    pictures.insert(pictures.end(), inside.begin(), inside.end());
  }
  return pictures;
}

std::vector<Prediction> predict(const Predictor& predictor, const std::vector<fs::path>& pictures, int threads,
                                Console& console) {
  constexpr std::size_t kAtOnce = 256;
  const DeployedTensor& image = predictor.network.tensors[0];
  const auto classes = static_cast<std::size_t>(predictor.network.head.classes());
  const DeployedProgram program(predictor.network);
  std::vector<Prediction> predictions;
  for (std::size_t first = 0; first < pictures.size(); first += kAtOnce) {
    const std::size_t count = std::min(kAtOnce, pictures.size() - first);
    std::vector<std::uint8_t> pixels(count * image.numel());
    for (std::size_t i = 0; i < count; ++i) {
      const fs::path& path = pictures[first + i];
      const std::string note =
          read_fitted_image(path, {image.height, image.width}, predictor.fit, pixels.data() + i * image.numel(),
                            fmt::format("the network takes {}x{}", image.width, image.height));
      if (!note.empty()) console.warning(fmt::format("{}: {}", path.string(), note));
    }
    const std::vector<float> logits = program.run(pixels, threads);
    for (std::size_t i = 0; i < count; ++i) {
      const std::span<const float> own(logits.data() + i * classes, classes);
      const auto label = static_cast<int>(std::max_element(own.begin(), own.end()) - own.begin());
      predictions.push_back({pictures[first + i], label, {own.begin(), own.end()}, softmax(own)});
    }
  }
  return predictions;
}

}  // namespace bsq
