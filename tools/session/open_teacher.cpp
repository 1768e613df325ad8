#include "tools/session/open_teacher.h"

#include "data/datasets.h"
#include "data/picture_fit.h"
#include "engine/model/state_hash.h"
#include "kernels/base/error.h"
#include "kernels/base/hash.h"
#include "tools/session/model_config.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace bsq {
namespace {

template <typename... Args>
[[noreturn]] void refuse(const ModelFile& teacher, fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorKind::checkpoint, "distill.model = {}: {}", teacher.file.path.string(),
       fmt::format(format, std::forward<Args>(args)...));
}

/// Float activations of the kind that the file says, or else of the kind that the run's own float stage has.
Quantizer quantizer_of_teacher(const ModelFile& teacher, const Config& config) {
  Config of_floats = config;
  of_floats.quant.act_bits = 0;
  of_floats.quant.act_scale = "batch_max";
  Quantizer quantizer = quantizer_of(of_floats);
  if (teacher.card.activation) quantizer.activation = quantizer_of(teacher.card).activation;
  return quantizer;
}

void check_is_float(const OpenModel& teacher) {
  if (teacher.weights->is_quantized())
    refuse(teacher, "its weights have bit widths; a teacher is a float model (bsq convert --to float makes one)");
  if (teacher.card.act_bits.value_or(0) > 0)
    refuse(teacher, "its activations have {} bits; a teacher is a float model", *teacher.card.act_bits);
}

/// A teacher sees the images of the model that learns.
void check_same_input(const ModelFile& teacher, const Config& config) {
  const auto check = [&](const char* key, const std::optional<std::vector<double>>& own,
                         const std::vector<double>& configured) {
    if (own && *own != configured)
      refuse(teacher, "was trained with {} = [{}], the configuration says [{}]; a teacher sees the same images", key,
             fmt::join(*own, ", "), fmt::join(configured, ", "));
  };
  check("data.mean", teacher.card.mean, config.data.mean);
  check("data.std", teacher.card.std, config.data.std);
  const PictureFit fit = fit_of(config.data);
  const ModelCard& card = teacher.card;
  if (card.resize && fit.resize > 0 &&
      (*card.resize != fit.resize || card.interpolation.value_or("bilinear") != config.data.interpolation))
    refuse(teacher,
           "was trained on pictures resized to {} ({}), the configuration says {} ({}); a teacher sees the same images",
           *card.resize, card.interpolation.value_or("bilinear"), fit.resize, config.data.interpolation);
}

/// A file that does not say its network, as those of PyTorch, is one for images of any size.
void check_sizes(const OpenModel& teacher, const DatasetInfo& images) {
  if (const int classes = teacher.network.num_classes(); classes != images.num_classes())
    refuse(teacher, "was trained for {} classes, the data has {}", classes, images.num_classes());
  const Shape &own = teacher.spec.image, size = images.image();
  if (teacher.card.network && own != size)
    refuse(teacher, "was trained on images of {}x{}, the data has {}x{}", own[1], own[0], images.width, images.height);
}

}  // namespace

std::optional<OpenModel> open_teacher(const Config& opened, Console& console) {
  const auto learns = [&](const std::string& stage) { return opened.distills(stage); };
  if (std::ranges::none_of(opened.stages, learns)) return std::nullopt;
  ModelFile file = read_model(opened.distill.model, console);
  const Quantizer quantizer = quantizer_of_teacher(file, opened);
  OpenModel teacher = open_model(std::move(file), quantizer);
  check_is_float(teacher);
  check_channels(teacher, opened);
  check_same_input(teacher, opened);
  if (const std::optional<DatasetInfo> images = known_images(opened)) check_sizes(teacher, *images);
  Config assumed = opened;
  assumed.quant.act_bits = 0;
  say_assumptions(
      teacher, assumed, [](const std::string&) { return false; }, console);
  return teacher;
}

TeacherModel teacher_for(OpenModel teacher, const DatasetInfo& images, Console& console) {
  check_sizes(teacher, images);
  check_classes(teacher, images, console);
  const std::string how = fmt::format("{} {}", to_json(teacher.spec).dump(), name_of(teacher.quantizer.activation));
  const std::uint64_t hash = hash_of(how, hash_of_tensors(teacher.file));
  Network network = network_for(teacher, images);
  const std::string path = teacher.file.path.string();
  return {path, std::move(network), std::move(teacher.file), hash_text(hash)};
}

}  // namespace bsq
