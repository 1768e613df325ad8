// The chain of stages.
#include "engine/training/experiment.h"

#include "engine/base/text.h"
#include "engine/files/links.h"
#include "engine/model/state_hash.h"
#include "engine/network/integer_inputs.h"
#include "kernels/base/error.h"

#include <sys/resource.h>

#include <algorithm>
#include <system_error>

namespace bsq {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;
constexpr std::size_t kSmallBytes = 64 << 10;  // buffers below share one line of the memory table

std::string memory_line(const MemoryEntry& entry) {
  return fmt::format("  {:44} {:>10.2f} MiB", entry.name, static_cast<double>(entry.size_bytes) / kMiB);
}

std::vector<float> to_floats(const std::vector<double>& values) {
  std::vector<float> floats;
  for (const double value : values) floats.push_back(static_cast<float>(value));
  return floats;
}

double peak_resident_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;  // ru_maxrss is in KiB
}

}  // namespace

int world_size_of(const CheckpointFiles& files) {
  const auto found = files.state.find("world_size");
  return found != files.state.end() && found->is_number_integer() ? found->get<int>() : 1;
}

InputOptions input_options(const Config& config, const DatasetInfo& images) {
  const auto channels = static_cast<std::size_t>(images.channels);
  if (config.data.mean.size() != channels || config.data.std.size() != channels)
    fail(ErrorKind::usage,
         "images have {} channels, data.mean and data.std {} and {} numbers; give images as in its training", channels,
         config.data.mean.size(), config.data.std.size());
  return {.height = images.height,
          .width = images.width,
          .mean = to_floats(config.data.mean),
          .std = to_floats(config.data.std)};
}

Precision checked_precision(const Config& config, const Backend& backend) {
  for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16}) {
    if (config.precision != name_of(precision)) continue;
    std::string why;
    if (backend.supports(precision, why)) return precision;
    fail(ErrorKind::device, "precision: {}: {}; set precision: fp32", config.precision, why);
  }
  fail(ErrorKind::usage, "precision: {}: use fp32, tf32 or bf16", config.precision);
}

Progress progress_of(const CheckpointFiles& files, const std::string& where) {
  if (!files.state.is_object() || !files.state.contains("progress"))
    fail(ErrorKind::checkpoint, "{}: no progress in state.json; it is a model to start from, not a run to resume",
         where);
  return progress_from_json(files.state.at("progress"), where);
}

Progress progress_of(const CheckpointFiles& files, const Config& config, const std::string& where) {
  const Progress progress = progress_of(files, where);
  const auto refuse = [&](const std::string& what) {
    fail(ErrorKind::checkpoint, "{}: state.json is damaged (the run has no {}); take an older checkpoint", where, what);
  };
  const int stages = static_cast<int>(config.stages.size());
  if (progress.stage > stages) refuse(fmt::format("stage {}, but {}", progress.stage, stages));
  const auto epochs_of = [&](int stage) { return epochs_before(config, stage + 1) - epochs_before(config, stage); };
  const int epochs = progress.stage < stages ? epochs_of(progress.stage) : 0;
  const bool is_in_stage = progress.epoch < epochs || (progress.epoch == epochs && progress.step == 0);
  if (!is_in_stage) refuse(fmt::format("epoch {}, but {} in stage {}", progress.epoch, epochs, progress.stage));
  // The end of a stage counts as one more: it has a checkpoint of its own.
  const int total_epochs = epochs_before(config, progress.stage) + progress.epoch + progress.stage;
  if (progress.total_epochs != total_epochs)
    refuse(fmt::format("epoch {} in all, but {} here", progress.total_epochs, total_epochs));
  if (progress.total_steps < progress.step || progress.best_epoch > epochs)
    refuse(fmt::format("{} steps in all with epoch {} the best", progress.total_steps, progress.best_epoch));
  return progress;
}

Experiment::Experiment(const Config& config, ExperimentParts parts)
    : config_(config),
      parts_(std::move(parts)),
      data_memory_(parts_.backend),
      teacher_memory_(parts_.backend),
      images_(data_memory_, parts_.data, config, parts_.communicator),
      context_{.config = config,
               .backend = parts_.backend,
               .dtype = dtype_of(checked_precision(config, parts_.backend)),
               .make_network = parts_.make_network,
               .train = images_.train(),
               .test = images_.test(),
               .holdout = images_.holdout(),
               .calibration = images_.calibration(),
               .input = input_options(config, parts_.data.train->info()),
               .data = images_.fingerprint(),
               .teacher = nullptr,
               .teacher_hash = parts_.teacher ? parts_.teacher->hash : "",
               .card = parts_.card,
               .communicator = parts_.communicator} {
  if (const std::int64_t images = images_.train().size(); config.data.batch_size > images)
    fail(ErrorKind::usage, "data.batch_size = {}: larger than the training set of {} images; lower it",
         config.data.batch_size, images);
  if (parts_.teacher) {
    TeacherModel& teacher = *parts_.teacher;
    context_.teacher =
        &teacher_.emplace(teacher_memory_, "teacher", std::move(teacher.network), context_.dtype, teacher.file);
  }
}

StageOutcome Experiment::run(RunDirectory& directory, RunLog& log, Console& console, const RequestPoll& poll,
                             const CheckpointFiles* resumed) {
  StageOutput output{directory, log, console, poll};
  Progress progress;
  std::optional<TensorFile> model = parts_.init;
  ResumedFiles files;
  if (resumed != nullptr) {
    progress = progress_of(*resumed, config_, directory.checkpoints().string());
    const auto found = resumed->tensors.find("model.safetensors");
    if (found == resumed->tensors.end())
      fail(ErrorKind::checkpoint, "{}: no model.safetensors in the last checkpoint; take an older one",
           directory.checkpoints().string());
    model = found->second;
    const auto find = [&](const char* name) {
      const auto file = resumed->tensors.find(name);
      return file == resumed->tensors.end() ? nullptr : &file->second;
    };
    files = {.momentum = find("optimizer.safetensors"), .average = find("ema.safetensors")};
  }
  for (; progress.stage < static_cast<int>(config_.stages.size()); ++progress.stage) {
    const std::string& name = config_.stages[static_cast<std::size_t>(progress.stage)];
    Stage stage(context_, name, progress.stage, model ? &*model : nullptr);
    if (teller_.tell(parts_.backend, output.console))
      directory.add_to_environment(
          "engines", {{"device", parts_.backend.describe()}, {"convolutions", to_json(parts_.backend.engines())}});
    if (progress.epoch == 0 && progress.step == 0) start_stage(stage, output);
    note_inexact_sums(stage, output);
    if (stage.run(progress, files, output) == StageOutcome::stopped) return StageOutcome::stopped;
    model = finish_stage(stage, progress, output);
    files = {};
  }
  // A run that failed behind its last checkpoint has older ones left, which no later one removes.
  if (resumed != nullptr && directory.writes()) {
    std::error_code code;
    const auto last = std::filesystem::canonical(follow_stand_ins(directory.checkpoints() / "last"), code);
    if (!code) keep_newest(directory.checkpoints(), last.filename().string(), config_.checkpoint.keep_last);
  }
  return StageOutcome::done;
}

void Experiment::start_stage(Stage& stage, StageOutput& output) {
  const std::size_t planned_bytes = stage.memory().total_bytes() + shared_bytes();
  const BitSummary bits = stage.bit_summary();
  nlohmann::ordered_json event = {{"stage", stage.name()},
                                  {"form", stage.model().quantized().form()},
                                  {"parameters", bits.parameters + bits.float_parameters},
                                  {"trainable_numbers", stage.model().trainable_numbers()},
                                  {"planned_bytes", planned_bytes},
                                  {"ranks", parts_.communicator.world()},
                                  {"gradient_bytes_per_step", stage.reduced_bytes().gradients},
                                  {"statistics_bytes_per_step", stage.reduced_bytes().statistics}};
  const DistillConfig& distill = config_.distill;
  if (stage.distills()) {
    event["teacher"] = parts_.teacher->path;
    event["teacher_hash"] = context_.teacher_hash;
    event["teacher_weight"] = distill.weight;
    event["temperature"] = distill.temperature;
  }
  const double ema = stage.has_average() ? config_.stage(stage.name()).ema : 0;
  if (ema > 0) event["ema"] = ema;
  output.log.event("stage_start", std::move(event));
  output.console.info(
      fmt::format("stage {}: {} quantizable parameters in {} form, {} trainable numbers, {:.0f} MiB planned",
                  stage.name(), bits.parameters, stage.model().quantized().form(), stage.model().trainable_numbers(),
                  static_cast<double>(planned_bytes) / kMiB));
  say_teacher(stage, output);
  if (ema > 0)
    output.console.info(
        fmt::format("stage {}: a moving average of the weights ({:g}) is evaluated, kept as the best and "
                    "handed on; running statistics have part in it",
                    stage.name(), ema));
  if (const ReducedBytes reduced = stage.reduced_bytes(); reduced.gradients > 0)
    output.console.info(fmt::format("stage {}: {} bytes of gradients and {} of statistics per rank and step",
                                    stage.name(), with_thousands(reduced.gradients),
                                    with_thousands(reduced.statistics)));
}

void Experiment::say_teacher(const Stage& stage, const StageOutput& output) const {
  if (!stage.distills()) return;
  const DistillConfig& distill = config_.distill;
  output.console.info(fmt::format(
      "stage {0}: learns from {1} too: the training loss, here and in logs, is {2:g} of the cross entropy and {3:g} of "
      "{4:g}^2 KL(teacher || model) at temperature {4:g}",
      stage.name(), parts_.teacher->path, 1 - distill.weight, distill.weight, distill.temperature));
}

void Experiment::note_inexact_sums(Stage& stage, const StageOutput& output) {
  for (const auto& [node, largest] : inexact_sums(stage.model().network(), stage.largest_bits()))
    if (noted_.insert(node).second)
      output.console.info(
          fmt::format("stage {}: sums of integers in {} may reach {:.1f} million; beyond 16.8 million (2^24) float32 "
                      "rounds them, in "
                      "an order that is each device's own",
                      stage.name(), node, largest / 1e6));
}

TensorFile Experiment::finish_stage(Stage& stage, Progress& progress, StageOutput& output) {
  const EvalResult result = stage.evaluate();
  const BitSummary bits = stage.bit_summary();
  TensorFile model = stage.save_result();

  nlohmann::ordered_json summary = {{"stage", stage.name()},
                                    {"test_top1", result.top1_percent()},
                                    {"test_top5", result.top5_percent()},
                                    {"test_loss", result.loss()},
                                    {"test_images", result.samples}};
  if (stage.calibrates()) summary["test_top1_batch_max"] = stage.evaluate_by_batch_max().top1_percent();
  if (progress.best_top1) {
    summary["best_top1"] = *progress.best_top1;
    summary["best_epoch"] = progress.best_epoch;
  }
  if (progress.best_holdout_top1) {
    summary["best_holdout_top1"] = *progress.best_holdout_top1;
    summary["holdout_images"] = context_.holdout->size();
  }
  summary["bits_per_parameter"] = bits.bits_per_parameter();
  summary["stored_bits_per_parameter"] = bits.stored_bits_per_parameter();
  summary["compression"] = bits.compression();
  summary["compression_without_empty"] = bits.compression_without_empty();
  summary["compression_on_disk"] = bits.compression_on_disk();
  summary["trainable_numbers"] = stage.model().trainable_numbers();
  nlohmann::ordered_json event = summary;
  event["model_hash"] = hash_text(hash_of_tensors(model));
  event["planned_bytes"] = stage.memory().total_bytes() + shared_bytes();
  event["peak_resident_mib"] = peak_resident_mib();
  event["seconds"] = progress.stage_seconds;
  output.log.event("stage_end", event);
  const std::string by_batch =
      stage.calibrates() ? fmt::format(" with calibrated activation scales, {:.2f} % with those of each batch",
                                       summary.at("test_top1_batch_max").get<double>())
                         : "";
  output.console.info(fmt::format("stage {} done: test {:.2f} %{}, {:.2f} bits per parameter ({:.2f} stored), {:.2f}x",
                                  stage.name(), result.top1_percent(), by_batch, bits.bits_per_parameter(),
                                  bits.stored_bits_per_parameter(), bits.compression()));

  Progress next = progress;
  ++next.stage;
  next.epoch = 0;
  next.best_top1.reset();
  next.best_holdout_top1.reset();
  next.best_epoch = 0;
  next.stage_seconds = 0;
  next.method = nullptr;
  next.logs = output.log.position();
  output.log.sync();
  ++next.total_epochs;
  if (output.directory.writes()) write_stage_end(stage.name(), model, next, summary, output.directory.checkpoints());
  next.stage = progress.stage;  // run() counts it up
  progress = next;
  return model;
}

void Experiment::write_stage_end(const std::string& stage, const TensorFile& model, const Progress& next,
                                 const nlohmann::ordered_json& summary,
                                 const std::filesystem::path& checkpoints) const {
  CheckpointFiles files;
  files.tensors["model.safetensors"] = model;
  files.state = resumable_state(context_, stage, next);
  for (const auto& [key, value] : summary.items()) files.state[key] = value;
  // This one stays, so that other runs can go on from the end of the stage, too.
  save_checkpoint(checkpoints / stage, files);
  // The next stage starts from this one if the run is killed before its first epoch is over.
  const std::string folder = fmt::format("epoch_{:04}", next.total_epochs);
  save_checkpoint(checkpoints / folder, files);
  update_last(checkpoints, folder, config_.checkpoint.keep_last);
}

void Experiment::dry_run(const std::function<void(const std::string& line)>& say) {
  std::optional<TensorFile> model = parts_.init;
  const auto add = [&](const DeviceMemory& memory) {
    std::size_t small_bytes = 0;
    for (const MemoryEntry& entry : memory.entries()) {
      if (entry.size_bytes < kSmallBytes)
        small_bytes += entry.size_bytes;
      else
        say(memory_line(entry));
    }
    say(memory_line({"tables, labels, counters", small_bytes}));
  };
  say("data");
  add(data_memory_);
  if (teacher_)
    say(fmt::format("teacher: {} numbers; its activations lie in the memory of a step", teacher_->numbers()));
  if (teacher_) add(teacher_memory_);
  bool stepped = false;
  for (std::size_t i = 0; i < config_.stages.size(); ++i) {
    Stage stage(context_, config_.stages[i], static_cast<int>(i), model ? &*model : nullptr);
    model.reset();  // the stage holds what it has taken from it
    say(fmt::format(
        "stage {}: {} trainable numbers, {:.1f} MiB with the data{}", stage.name(), stage.model().trainable_numbers(),
        static_cast<double>(stage.memory().total_bytes() + shared_bytes()) / kMiB, teacher_ ? " and the teacher" : ""));
    add(stage.memory());
    if (stage.trains() && !stepped) {
      const StepMetrics metrics = stage.try_step();
      say(fmt::format("  one step: loss {:.4f} on {} images", metrics.loss_sum / static_cast<double>(metrics.samples),
                      metrics.samples));
      stepped = true;
    }
    model = stage.save_result();
  }
  say("dry run: nothing was written");
}

}  // namespace bsq
