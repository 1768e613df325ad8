#include "tools/session/open_experiment.h"

#include "data/datasets.h"
#include "engine/ranks/ranks.h"
#include "kernels/base/error.h"
#include "tools/session/device.h"
#include "tools/session/fresh_classifier.h"
#include "tools/session/model_config.h"
#include "tools/session/network_checks.h"
#include "tools/session/open_teacher.h"
#include "tools/session/ranks.h"

namespace bsq {
namespace {

NetworkSpec network_of(const ExperimentSource& source, const DatasetInfo& images) {
  if (source.trained == nullptr || !read_card(*source.trained).network) return network_of_run(source.opened, images);
  return describe_model(*source.trained).spec;
}

std::string ranks_text(const Config& config, const Communicator& connected) {
  const int batch = config.data.batch_size, world = connected.world();
  const std::int64_t largest = slice_of(batch, 0, world).count;
  const std::int64_t smallest = slice_of(batch, world - 1, world).count;
  return fmt::format(
      "ranks: {} processes ({}); a batch of {} images is {} a rank; batch norm and activation scales are of {} "
      "images, "
      "the learning rate is as configured",
      world, connected.describe(), batch,
      smallest == largest ? std::to_string(largest) : fmt::format("{} or {}", smallest, largest),
      config.model.sync_batch_norm ? "all ranks'" : "a rank's own");
}

void say_data(const ExperimentSource& source, const DataSplits& data, Console& console) {
  const DatasetInfo& images = data.train->info();
  const std::string held_out =
      data.holdout ? fmt::format(", {} held out of training to choose the best epoch,", data.holdout->size()) : "";
  console.info(fmt::format("data: {} training{} and {} test images of {}x{}, {} classes ({}{})", data.train->size(),
                           held_out, data.test->size(), images.width, images.height, images.num_classes(),
                           source.config.data.kind,
                           is_planned_blank(source.config) ? "; data.root is not set: blank images for the plan" : ""));
}

/// Whether the model that a run begins with tells the classes of the data apart, or is made to.
void fit_classes(ExperimentSource& source, const DatasetInfo& images, Console& console) {
  const int before = source.init->network.num_classes(), wanted = images.num_classes();
  if (source.config.model.has_fresh_classifier()) {
    const NetworkSpec spec = network_of_run(source.opened, images);
    *source.init = with_fresh_classifier(*std::move(source.init), spec, source.config.seed);
    console.info(fmt::format("{}: {} begins anew, for {} classes in the place of {} (model.init_classifier: fresh)",
                             source.config.model.init, classifier_of(source.init->network), wanted, before));
  } else if (before != wanted) {
    fail(ErrorKind::checkpoint,
         "{}: was trained for {} classes, the data has {}; set model.init_classifier=fresh to begin with a new last "
         "layer, or take another checkpoint",
         source.init->file.path.string(), before, wanted);
  } else {
    check_classes(*source.init, images, console);
  }
}

}  // namespace

OpenExperiment::OpenExperiment(ExperimentSource source, Console& console, Communicator& ranks)
    : data_(source.is_planned ? open_planned_datasets(source.opened) : open_datasets(source.opened)) {
  const Config& config = source.config;
  const DatasetInfo& images = data_.train->info();
  if (source.init) {
    fit_classes(source, images, console);
    say_assumptions(
        *source.init, config, [](const std::string&) { return false; }, console);
  }
  std::optional<TeacherModel> teacher;
  if (source.teacher) teacher.emplace(teacher_for(*std::move(source.teacher), images, console));
  const NetworkSpec spec = network_of(source, images);
  const ModelCard card = card_of_run(spec, config, images);
  check_network(config, spec, card);
  say_data(source, data_, console);
  backend_ = open_device(config, console, ranks);
  if (ranks.world() > 1) connected_ = backend_->connect(ranks);
  if (connected_) console.info(ranks_text(config, *connected_));
  experiment_.emplace(config,
                      ExperimentParts{.backend = *backend_,
                                      .data = data_,
                                      .make_network = network_factory(spec, config, card),
                                      .card = card,
                                      .init = source.init ? std::optional(std::move(source.init->file)) : std::nullopt,
                                      .teacher = std::move(teacher),
                                      .communicator = connected_ ? *connected_ : ranks});
  for (const std::string& note : experiment_->data_notes()) console.info("data: " + note);
  say_new_notes(console);
  check_same_text(ranks, to_json(experiment_->data()).dump(), ErrorKind::data,
                  "reads other images than rank 0; its files are not the same");
  check_same_text(ranks, experiment_->teacher_hash(), ErrorKind::checkpoint,
                  "has another distill.model than rank 0; its files are not the same");
}

void check_same_data(const DataFingerprint& then, const DataFingerprint& now, const DataConfig& data, bool may_differ,
                     Console& console) {
  const std::string changed = changes(then, now), where = data.root.empty() ? data.kind : data.root;
  if (changed.empty()) {
    if (!are_comparable(then, now))
      console.warning(fmt::format(
          "{}: images were kept in memory and are read from files now, or the other way round (data.memory): whether "
          "they are the same is not known",
          where));
    return;
  }
  if (!may_differ)
    fail(ErrorKind::data,
         "{}: not what the run was trained with: {}; bring the old images back, start a new run, or go on with these "
         "by --other-data",
         where, changed);
  console.warning(fmt::format("{}: the run goes on with other images: {}", where, changed));
}

void OpenExperiment::say_new_notes(Console& console) {
  for (const Dataset* images : {data_.train.get(), data_.test.get()})
    for (const std::string& note : images->notes())
      if (said_.insert(note).second) console.warning(note);
}

}  // namespace bsq
