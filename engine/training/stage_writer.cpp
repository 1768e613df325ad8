// What a stage writes: epoch lines, re-quantizations, the best model, checkpoints.
#include "engine/base/text.h"
#include "engine/files/checkpoint_dir.h"
#include "engine/files/links.h"
#include "engine/methods/weight_forms.h"
#include "engine/model/state_hash.h"
#include "engine/ranks/ranks.h"
#include "engine/training/schedule.h"
#include "engine/training/stage.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace bsq {
namespace {

constexpr double kMuchWaiting = 0.05;  // of the time of an epoch

std::string changed_layers(const BitSummary& before, const BitSummary& after) {
  std::string text;
  for (std::size_t i = 0; i < before.tensors.size(); ++i) {
    const TensorBits& old = before.tensors[i];
    if (old.bits == after.tensors[i].bits) continue;
    text +=
        fmt::format("{}{} {}->{}", text.empty() ? "; " : ", ", layer_name(old.name), old.bits, after.tensors[i].bits);
  }
  return text;
}

std::string rate_text(double per_second) {
  return per_second < 1000 ? fmt::format("{:.0f}", per_second) : fmt::format("{:.1f}k", per_second / 1000);
}

}  // namespace

nlohmann::json resumable_state(const StageContext& context, const std::string& stage, const Progress& progress) {
  nlohmann::json state = {{"progress", to_json(progress)},
                          {"stage", stage},
                          {"config_hash", config_hash(context.config)},
                          {"world_size", context.communicator.world()},
                          {"data", to_json(context.data)}};
  if (!context.teacher_hash.empty()) state["teacher"] = context.teacher_hash;
  return state;
}

void Stage::check_ranks(const Progress& progress, std::string_view after) const {
  if (context_.communicator.world() == 1) return;
  const std::string when =
      fmt::format("after {} (stage {}, epoch {}, step {})", after, name_, progress.epoch + 1, progress.step);
  check_same_on_ranks(context_.communicator, model_.save().tensors, when);
  if (averages())
    check_same_on_ranks(context_.communicator, model_.save(download(context_.backend, average_->on_device())).tensors,
                        when);
}

ModelCard Stage::card() const {
  ModelCard card = context_.card;
  card.activation = name_of(activation_);
  card.act_bits = act_bits_;
  if (act_bits_ == 0) card.deployed.reset();
  card.stage = name_;
  return card;
}

TensorFile Stage::save_result(const ModelState& state) const {
  return model_.save(state, *convert_weights(method_->result_form(), state.weights), card());
}

void Stage::write_note(const Progress& progress, StageOutput& output) const {
  const std::optional<EpochNote> note = method_->epoch_note();
  if (!note) return;
  nlohmann::ordered_json fields = {{"stage", name_}, {"epoch", progress.epoch}};
  fields.update(note->fields);
  output.log.event(note->event, std::move(fields));
  output.console.info(fmt::format("[M] {} after epoch {}: {}", name_, progress.epoch, note->text));
}

void Stage::adjust(Progress& progress, StageOutput& output, bool is_end) {
  const BitSummary before = bit_summary();
  method_->adjust(model_.quantized(), is_end);
  model_.reset_momentum();
  if (averages()) average_->restart();  // numbers of two grids have no average
  check_ranks(progress, "a re-quantization");
  step_->recapture();
  latest_result_.reset();
  progress.best_top1.reset();  // an accuracy under more bits is no rival for one under fewer
  progress.best_holdout_top1.reset();

  const BitSummary after = bit_summary();
  for (std::size_t i = 0; i < after.tensors.size(); ++i) {
    const TensorBits& tensor = after.tensors[i];
    output.log.precision({.stage = name_,
                          .epoch = progress.epoch,
                          .layer = tensor.name,
                          .bits_before = before.tensors[i].bits,
                          .bits_after = tensor.bits,
                          .scale = tensor.scale,
                          .density = tensor.plane_density_percent});
  }
  output.log.event("requant", {{"stage", name_},
                               {"epoch", progress.epoch},
                               {"bits_before", before.bits_per_parameter()},
                               {"bits_after", after.bits_per_parameter()},
                               {"compression", after.compression()}});
  output.console.info(fmt::format("[Q] {} after epoch {}: {:.2f} -> {:.2f} bits, {:.2f}x{}", name_, progress.epoch,
                                  before.bits_per_parameter(), after.bits_per_parameter(), after.compression(),
                                  changed_layers(before, after)));
  if (std::all_of(after.tensors.begin(), after.tensors.end(), [](const TensorBits& t) { return t.empty; }))
    fail(ErrorKind::diverged, "every layer is pruned to zero at the re-quantization after epoch {} of stage {}; {}",
         progress.epoch, name_, method_->advice_against_zeros());
}

void Stage::keep_best(Progress& progress) {
  const EvalResult result = evaluate();
  if (!std::isfinite(result.loss()))
    fail(ErrorKind::diverged, "test loss is {} in stage {} after epoch {}; lower {}.lr", result.loss(), name_,
         progress.epoch + 1, name_);
  const std::optional<double> rival = holdout_result_ ? progress.best_holdout_top1 : progress.best_top1;
  const EvalResult& chosen_by = holdout_result_ ? *holdout_result_ : result;
  if (rival && chosen_by.top1_percent() <= *rival) return;
  progress.best_top1 = result.top1_percent();
  if (holdout_result_) progress.best_holdout_top1 = holdout_result_->top1_percent();
  progress.best_epoch = std::min(progress.epoch + 1, settings_->epochs);
  new_best_ = {{"stage", name_},
               {"epoch", progress.best_epoch},
               {"test_top1", result.top1_percent()},
               {"test_top5", result.top5_percent()},
               {"test_loss", result.loss()}};
  if (holdout_result_) (*new_best_)["holdout_top1"] = holdout_result_->top1_percent();
}

void Stage::log_state(int epochs_over, const StageOutput& output) const {
  if (output.log.drops_all()) return;  // of another rank, which holds the same
  std::uint64_t hash = hash_of(model_.state(StateScope::model_and_momentum), method_->state().dump());
  if (averages()) hash = hash_of(download(context_.backend, average_->on_device()), hash_text(hash));
  output.log.event("state", {{"stage", name_}, {"epoch", epochs_over}, {"state_hash", hash_text(hash)}});
}

void Stage::log_weights(int epoch, const StageOutput& output) const {
  if (!weights_result_) return;
  output.log.event("weights", {{"stage", name_},
                               {"epoch", epoch},
                               {"test_loss", weights_result_->loss()},
                               {"test_top1", weights_result_->top1_percent()},
                               {"test_top5", weights_result_->top5_percent()}});
}

void Stage::log_holdout(int epoch, const StageOutput& output) const {
  if (!holdout_result_) return;
  output.log.event("holdout", {{"stage", name_},
                               {"epoch", epoch},
                               {"holdout_loss", holdout_result_->loss()},
                               {"holdout_top1", holdout_result_->top1_percent()},
                               {"holdout_top5", holdout_result_->top5_percent()},
                               {"holdout_images", holdout_result_->samples}});
}

/// `test 91.45 (best 91.45)`; of images held out what they say, too: they choose, and the test set does not.
std::string Stage::accuracy_text(const Progress& progress, const EvalResult& result) const {
  const std::string test = fmt::format("test {:.2f}", result.top1_percent());
  if (!holdout_result_) return fmt::format("{} (best {:.2f})", test, *progress.best_top1);
  return fmt::format("holdout {:.2f} (best {:.2f}) | {}", holdout_result_->top1_percent(), *progress.best_holdout_top1,
                     test);
}

void Stage::finish_epoch(Progress& progress, StageOutput& output) {
  check_ranks(progress, "the epoch");
  keep_best(progress);
  const EvalResult result = evaluate();
  const EpochTotals& totals = progress.totals;
  const BitSummary bits = bit_summary();
  EpochRow row{.stage = name_,
               .epoch = progress.epoch + 1,
               .step = progress.total_steps,
               .learning_rate = learning_rate(*settings_, progress.epoch),
               .train_loss = totals.loss_sum / static_cast<double>(totals.samples),
               .train_penalty = totals.penalty_sum / static_cast<double>(totals.steps),
               .train_top1 = 100.0 * static_cast<double>(totals.top1) / static_cast<double>(totals.samples),
               .test_loss = result.loss(),
               .test_top1 = result.top1_percent(),
               .test_top5 = result.top5_percent(),
               .bits_per_parameter = bits.bits_per_parameter(),
               .compression = bits.compression(),
               .images_per_second = static_cast<double>(totals.samples) / totals.seconds,
               .seconds = totals.seconds,
               .epoch_of_run = epochs_before(context_.config, index_) + progress.epoch + 1};
  if (context_.config.log.tensorboard_layers)
    for (const TensorBits& tensor : bits.tensors) row.layer_bits.emplace_back(layer_name(tensor.name), tensor.bits);
  output.log.epoch(row);
  log_weights(row.epoch, output);
  log_holdout(row.epoch, output);
  log_state(row.epoch, output);
  const double waited = context_.train.seconds_waited() - waited_before_;
  output.console.info(fmt::format(
      "[T] {} {:>{}}/{} | lr {:g} | loss {:.4f}{} | train {:.2f} | {}{}{} | {} img/s | "
      "{:.1f} s{}",
      name_, row.epoch, std::to_string(settings_->epochs).size(), settings_->epochs, row.learning_rate, row.train_loss,
      method_->describe().penalty ? fmt::format(" | R {:.3f}", row.train_penalty) : "", row.train_top1,
      accuracy_text(progress, result),
      weights_result_ ? fmt::format(" of the average, {:.2f} of the weights", weights_result_->top1_percent()) : "",
      bits.is_quantized() ? fmt::format(" | {:.2f} bits ({:.2f} stored) {:.2f}x", *row.bits_per_parameter,
                                        bits.stored_bits_per_parameter(), *row.compression)
                          : "",
      rate_text(row.images_per_second), row.seconds,
      waited > kMuchWaiting * row.seconds ? fmt::format(", {:.1f} of them for images to be read, at {} img/s", waited,
                                                        rate_text(context_.train.read_rate()))
                                          : ""));
  ++progress.epoch;
  ++progress.total_epochs;
  progress.step = 0;
  progress.stage_seconds += totals.seconds;
  progress.totals = {};
  begin_status(progress, output);
  const int every = context_.config.checkpoint.every_epochs;
  write_files(progress, output, progress.epoch % every == 0 || progress.epoch == settings_->epochs);
}

void Stage::begin_status(const Progress& progress, StageOutput& output) {
  status_.start([&directory = output.directory, status = RunStatus{.stage = name_, .epoch = progress.epoch}] {
    directory.write_status(status);
  });
}

void Stage::wait_for_files() {
  status_.wait();
  writer_.wait();
}

void Stage::write_files(Progress& progress, StageOutput& output, bool with_checkpoint) {
  const std::optional<nlohmann::json> best = std::exchange(new_best_, std::nullopt);
  if (!output.directory.writes() || (!best && !with_checkpoint)) return;
  writer_.wait();  // for the snapshot before
  const Range range(context_.backend, "snapshot");
  snapshot_->take(model_.on_device(with_checkpoint ? StateScope::model_and_momentum : StateScope::model));
  const bool has_average = averages();
  if (has_average) average_snapshot_->take(average_->on_device());
  progress.logs = output.log.position();
  progress.method = method_->state();
  writer_.start([this, best, with_checkpoint, has_average, progress, &log = output.log,
                 checkpoints = output.directory.checkpoints()] {
    const ModelState state = snapshot_->read();
    const std::optional<ModelState> average = has_average ? std::optional(average_snapshot_->read()) : std::nullopt;
    if (best) write_best(average ? *average : state, *best, checkpoints);
    if (!with_checkpoint) return;
    log.sync();
    write_checkpoint(state, average ? &*average : nullptr, progress, checkpoints);
  });
}

void Stage::write_checkpoint(const ModelState& state, const ModelState* average, const Progress& progress,
                             const std::filesystem::path& checkpoints) const {
  CheckpointFiles files;
  files.tensors["model.safetensors"] = model_.save(state, card());
  files.tensors["optimizer.safetensors"] = model_.save_momentum(*state.momentum);
  if (average != nullptr) files.tensors["ema.safetensors"] = average_to_file(model_, *average, state, card());
  files.state = resumable_state(context_, name_, progress);
  const std::string name = fmt::format("epoch_{:04}", progress.total_epochs);
  save_checkpoint(checkpoints / name, files);
  update_last(checkpoints, name, context_.config.checkpoint.keep_last);
}

void Stage::write_best(const ModelState& state, const nlohmann::json& description,
                       const std::filesystem::path& checkpoints) const {
  CheckpointFiles files;
  files.tensors["model.safetensors"] = save_result(state);
  if (state.weights->is_quantized())
    files.tensors["model_float.safetensors"] = model_.save(state, *StoredDense::convert(state.weights), card());
  files.state = description;
  const std::string name = name_ + "_best";
  save_checkpoint(checkpoints / name, files);
  replace_link(checkpoints / "best", name);
}

}  // namespace bsq
