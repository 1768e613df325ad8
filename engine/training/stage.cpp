// Construction of a stage and its epochs; what it writes is in stage_writer.cpp.
#include "engine/training/stage.h"

#include "engine/deployed/settle.h"
#include "engine/input/batch_mix.h"
#include "engine/input/sampler.h"
#include "engine/methods/methods.h"
#include "engine/methods/weight_forms.h"
#include "engine/training/norm_statistics.h"
#include "engine/training/schedule.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace bsq {
namespace {

// Metrics are read every so many steps: a window. On a GPU they are read one window late, so that it does not wait for
// the host. A NaN stops the run at most two windows late.
constexpr std::int64_t kWindowSteps = 8;

/// What the stage begins with, in any form.
Weights start_weights(const Config& config, const std::string& stage, const Method& method, const TensorFile* start,
                      const ArenaLayout& layout) {
  Weights weights =
      start == nullptr ? initial_weights(layout, config.seed) : read_weights(*start, layout, config.quant.max_bits);
  if (const std::string why = method.refusal(*weights, layout); !why.empty())
    fail(ErrorKind::usage, "stage {}: the model to start from {}", stage, why);
  return weights;
}

/// Of a stage that trains.
NoDecay no_decay_of(const StageConfig* settings) {
  if (settings == nullptr) return {};
  const auto lists = [&](const char* what) { return std::ranges::count(settings->no_decay, what) > 0; };
  return {.norms = lists("norms"), .biases = lists("biases"), .pact = lists("pact"), .scales = lists("scales")};
}

Mixing mixing_of(const DataConfig& data) {
  return {.mixup = data.mixup, .cutmix = data.cutmix};
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

AugmentRule training_input(const Config& config, const InputOptions& input, int stage) {
  AugmentRule rule = plain_input(input);
  rule.crop_padding = config.data.crop == "pad" ? config.data.crop_padding : 0;
  rule.random_flip = config.data.flip;
  rule.seed = config.seed;
  rule.stream = augment_stream(stage);
  return rule;
}

int epochs_before(const Config& config, int stage) {
  int epochs = 0;
  for (int i = 0; i < stage; ++i)
    if (const StageConfig* settings = config.find_stage(config.stages[static_cast<std::size_t>(i)]))
      epochs += settings->epochs;
  return epochs;
}

Activation activation_from_name(const std::string& name) {
  for (const Activation activation : kActivations)
    if (name == name_of(activation)) return activation;
  fail(ErrorKind::usage, "quant.activation = {}: use auto, relu, relu6, pact or lsq", name);
}

Stage::Stage(const StageContext& context, const std::string& name, int index, const TensorFile* start)
    : context_(context),
      name_(name),
      index_(index),
      settings_(context.config.find_stage(name)),
      method_(method_of_stage(name, context.config)),
      act_bits_(method_->act_bits()),
      activation_(activation_from_name(
          block_activation({.act_bits = act_bits_, .activation = context.config.quant.activation}))),
      memory_(context.backend),
      model_(
          memory_, context.make_network(activation_, act_bits_), context.dtype, context.config.seed,
          [&](DeviceMemory& memory, const ArenaLayout& layout, const float* gradients) {
            return method_->make_store(memory, layout, gradients,
                                       start_weights(context.config, name, *method_, start, layout));
          },
          no_decay_of(settings_)),
      batches_{context.train.size(), context.config.data.batch_size},
      evaluator_(memory_, model_, context.test, context.input, context.config.data.eval_batch_size,
                 context.communicator) {
  const Config& config = context.config;
  if (context.holdout != nullptr && trains())
    holdout_evaluator_ = std::make_unique<Evaluator>(memory_, model_, *context.holdout, context.input,
                                                     config.data.eval_batch_size, context.communicator);
  if (start != nullptr) {
    model_.load_plain(*start);
    fit_norm_statistics(context.backend, model_);
  }
  missing_ceilings_ = missing_ceilings(model_.network(), start);
  if (context.calibration != nullptr && act_bits_ > 0 && needs_calibration(model_.network()))
    calibrator_ = std::make_unique<Calibrator>(memory_, model_, *context.calibration,
                                               CalibrationOptions{.input = context.input,
                                                                  .batch_size = config.data.eval_batch_size,
                                                                  .batches = config.quant.calibration_batches,
                                                                  .seed = config.seed},
                                               context.communicator);
  if (calibrates() && config.quant.deployed) deployment_ = plan_deployment(model_.network());
  if (!trains()) return;
  TrainingOptions options{.augment = training_input(config, context.input, index),
                          .rule = {.momentum = static_cast<float>(settings_->momentum),
                                   .weight_decay = static_cast<float>(settings_->weight_decay),
                                   .nesterov = settings_->nesterov},
                          .label_smoothing = static_cast<float>(settings_->label_smoothing),
                          .mixes = mixing_of(config.data).is_on(),
                          .clip_norm = static_cast<float>(settings_->clip_norm),
                          .batch_size = config.data.batch_size,
                          .metrics_slots = batches_.count(),
                          .synchronised_norms = config.model.sync_batch_norm};
  if (config.distills(name)) {
    options.teacher = context.teacher;
    options.teacher_weight = static_cast<float>(config.distill.weight);
    options.temperature = static_cast<float>(config.distill.temperature);
  }
  options.dropout_stream = dropout_stream(index);
  if (settings_->ema > 0) average_ = std::make_unique<WeightAverage>(memory_, model_, settings_->ema);
  options.average = average_.get();
  step_ = std::make_unique<TrainingStep>(memory_, model_, context.train, options, context.communicator);
  if (context.communicator.rank() != 0) return;
  snapshot_ = std::make_unique<ModelSnapshot>(memory_, "checkpoint snapshot", model_, StateScope::model_and_momentum);
  if (average_ != nullptr)
    average_snapshot_ =
        std::make_unique<ModelSnapshot>(memory_, "checkpoint snapshot of the average", model_, StateScope::model);
}

BitSummary Stage::bit_summary() const {
  return summarize_bits(model_.quantized().count(), model_.network());
}

std::vector<int> Stage::largest_bits() const {
  std::vector<int> bits = most_bits(model_.quantized_layout(), context_.config.quant.max_bits);
  const std::vector<TensorBits> now = bit_summary().tensors;
  const bool may_grow = trains() && method_->adjusts(settings_->epochs, true);
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = may_grow ? std::max(bits[i], now[i].bits) : now[i].bits;
  return bits;
}

TensorFile Stage::save_result() const {
  return save_result(model_.state());
}

EvalResult Stage::evaluate() {
  if (latest_result_) return *latest_result_;
  if (averages()) {
    weights_result_ = measure();
    average_->exchange();
  }
  latest_result_ = measure();
  if (holdout_evaluator_) holdout_result_ = holdout_evaluator_->run(act_scale());
  if (averages()) average_->exchange();
  return *latest_result_;
}

EvalResult Stage::measure() {
  if (calibrates()) calibrate();
  return evaluator_.run(act_scale());
}

void Stage::take_average() {
  if (!averages()) return;
  average_->exchange();
  is_average_ = true;
  weights_result_.reset();
}

void Stage::load(const ResumedFiles& resumed, const StageOutput& output) {
  if (resumed.momentum == nullptr) return;
  if (average_ != nullptr) {
    if (resumed.average == nullptr)
      fail(ErrorKind::checkpoint, "{}: no ema.safetensors in the last checkpoint; take an older one",
           output.directory.checkpoints().string());
    average_->load(*resumed.average, context_.config.quant.max_bits);
  }
  model_.load_momentum(*resumed.momentum);
}

void Stage::calibrate() {
  calibrator_->run();
  if (deployment_) settle_in_integers(context_.backend, model_, *deployment_, context_.input);
}

StepMetrics Stage::try_step() {
  require(trains(), "stage {} has no steps", name_);
  context_.train.begin_epoch(order_of(0));
  step_->run(context_.config.data.batch_size, {.learning_rate = 0, .method = method_->step_numbers(0)});
  return step_->metrics(0, 1).front();
}

StageOutcome Stage::run(Progress& progress, const ResumedFiles& resumed, StageOutput& output) {
  if (!trains()) return StageOutcome::done;
  load(resumed, output);
  if (progress.step > batches_.count())
    fail(ErrorKind::checkpoint,
         "{}: state.json is damaged (step {}, but an epoch has {}), or the training set is another one now; take an "
         "older checkpoint",
         (output.directory.checkpoints() / "last").string(), progress.step, batches_.count());
  restore_method(progress, output);
  const bool begins = progress.epoch == 0 && progress.step == 0;
  if (begins)
    find_ceilings(context_.backend, model_, context_.train,
                  {.input = context_.input, .count = context_.config.data.batch_size, .seed = context_.config.seed},
                  missing_ceilings_, context_.communicator);
  if (begins && !missing_ceilings_.empty() && average_ != nullptr) average_->restart();
  if (begins && settings_->epochs > 0 && deployment_) calibrate();  // steps round to ranges
  // A run has this line since the end of that epoch: whoever repeats it sees whether the checkpoint is that state.
  if (output.log.is_in_memory() && progress.epoch > 0 && progress.step == 0) log_state(progress.epoch, output);
  // A run that has failed between its checkpoint and its status has an older status.
  if (progress.epoch > 0) begin_status(progress, output);
  while (progress.epoch < settings_->epochs) {
    start_epoch(progress, output);
    const auto start = std::chrono::steady_clock::now();
    const StageOutcome outcome = train_epoch(progress, output);
    progress.totals.seconds += seconds_since(start);
    if (outcome == StageOutcome::stopped) {
      check_ranks(progress, "the last step");
      write_files(progress, output, true);
      wait_for_files();
      return StageOutcome::stopped;
    }
    finish_epoch(progress, output);
  }
  take_average();
  if (trains() && method_->adjusts(progress.epoch, true)) {
    adjust(progress, output, true);
    write_note(progress, output);
    keep_best(progress);
    write_files(progress, output, false);
  }
  wait_for_files();
  return StageOutcome::done;
}

void Stage::restore_method(const Progress& progress, const StageOutput& output) {
  if (progress.method.is_null()) return;
  try {
    method_->restore(progress.method);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::checkpoint, "{}: state.json is damaged (progress.method: {}); take an older checkpoint",
         (output.directory.checkpoints() / "last").string(), error.what());
  }
}

void Stage::start_epoch(Progress& progress, StageOutput& output) {
  method_->start_epoch(model_.quantized(), progress.epoch);
  if (progress.step > 0) return;  // the rest was done before the run was interrupted
  write_note(progress, output);
  if (averages() && method_->restarts_average(progress.epoch)) {
    average_->restart();
    step_->recapture();
  }
  if (method_->adjusts(progress.epoch, false)) adjust(progress, output, false);
}

StageOutcome Stage::train_epoch(Progress& progress, StageOutput& output) {
  latest_result_.reset();
  const std::int64_t steps = batches_.count();
  context_.train.begin_epoch(take_order(progress.epoch),
                             AugmentKey{context_.config.seed, augment_stream(index_), progress.epoch});
  waited_before_ = context_.train.seconds_waited();
  plan_steps(progress);
  ProgressLine line(output.console, fmt::format("{} {}/{}", name_, progress.epoch + 1, settings_->epochs),
                    steps * settings_->epochs, steps * progress.epoch + progress.step);
  Window window;
  while (progress.step < steps) {
    step_->run();
    ++progress.step;
    ++progress.total_steps;
    const Request request = output.poll();
    status_.check();
    writer_.check();
    if (progress.step == steps && request != Request::stop && progress.epoch + 1 < settings_->epochs)
      drawn_ = {progress.epoch + 1, order_of(progress.epoch + 1)};
    if (progress.step == steps || request != Request::none)
      collect_metrics(progress.step, nullptr, progress, output);
    else if (progress.step % kWindowSteps == 0)
      read_finished_metrics(window, progress, output);
    const EpochTotals& totals = progress.totals;
    if (totals.samples > 0)
      line.update(steps * progress.epoch + progress.step,
                  fmt::format("loss {:.3f} | top1 {:.1f}", totals.loss_sum / static_cast<double>(totals.samples),
                              100.0 * static_cast<double>(totals.top1) / static_cast<double>(totals.samples)));
    if (request == Request::checkpoint) {
      check_ranks(progress, "the last step");
      write_files(progress, output, true);
    }
    if (request == Request::stop) return StageOutcome::stopped;
  }
  return StageOutcome::done;
}

std::vector<std::int32_t> Stage::order_of(int epoch) const {
  return epoch_order(batches_.samples, {context_.config.seed, index_, epoch});
}

std::vector<std::int32_t> Stage::take_order(int epoch) {
  std::optional<DrawnOrder> drawn = std::exchange(drawn_, std::nullopt);
  return drawn && drawn->epoch == epoch ? std::move(drawn->order) : order_of(epoch);
}

void Stage::plan_steps(const Progress& progress) {
  const auto rate = static_cast<float>(learning_rate(*settings_, progress.epoch));
  const Config& config = context_.config;
  std::vector<PlannedStep> steps;
  for (std::int64_t step = progress.step; step < batches_.count(); ++step)
    steps.push_back({batches_.size(step),
                     {.learning_rate = rate,
                      .epoch = progress.epoch,
                      .first_sample = batches_.first_sample(step),
                      .metrics_slot = step,
                      .method = method_->step_numbers(progress.epoch),
                      .mix = draw_batch_mix(mixing_of(config.data), context_.input.height, context_.input.width,
                                            {config.seed, mix_stream(index_), progress.epoch}, step)}});
  step_->plan(std::move(steps));
}

void Stage::read_finished_metrics(Window& window, Progress& progress, const StageOutput& output) {
  Window latest{progress.step, context_.backend.marker()};
  if (latest.marker == nullptr) return collect_metrics(latest.end, nullptr, progress, output);
  if (window.end > progress.totals.steps) collect_metrics(window.end, window.marker.get(), progress, output);
  window = std::move(latest);
}

void Stage::collect_metrics(std::int64_t end, const Marker* marker, Progress& progress, const StageOutput& output) {
  const std::int64_t first = progress.totals.steps;
  const std::vector<StepMetrics> metrics = step_->metrics(first, end - first, marker);
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    const std::int64_t step = first + static_cast<std::int64_t>(i) + 1;
    const double loss = metrics[i].loss_sum / static_cast<double>(metrics[i].samples);
    if (!std::isfinite(loss) || !std::isfinite(metrics[i].penalty)) report_divergence(progress, output, step, loss);
    progress.totals.add(metrics[i]);
    const int every = context_.config.log.every_steps;
    if (every > 0 && step % every == 0)
      output.log.event("step", {{"stage", name_},
                                {"epoch", progress.epoch + 1},
                                {"step", step},
                                {"loss", loss},
                                {"penalty", metrics[i].penalty}});
  }
}

void Stage::report_divergence(const Progress& progress, const StageOutput& output, std::int64_t step, double loss) {
  try {
    writer_.wait();               // for what may become the last good checkpoint
  } catch (const Error& error) {  // said beside the divergence, not in its place
    output.console.warning(error.what());
  }
  std::string worst = "none";
  double largest = 0;
  const auto& parameters = model_.network().parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto count = static_cast<std::size_t>(parameters[i].shape.numel());
    for (const float value : download_array(context_.backend, model_.parameters().gradients[i], count)) {
      const double magnitude = std::isnan(value) ? INFINITY : std::fabs(static_cast<double>(value));
      if (magnitude <= largest) continue;
      largest = magnitude;
      worst = parameters[i].name;
    }
  }
  const std::filesystem::path last = output.directory.checkpoints() / "last";
  std::error_code ignored;
  const bool has_checkpoint = std::filesystem::exists(last, ignored);
  fail(ErrorKind::diverged,
       "loss is {} in stage {} at epoch {} step {} (lr {:g}, largest gradient {:g} in {}); lower {}.lr. {}{}",
       std::isnan(loss) ? "NaN" : fmt::format("{:g}", loss), name_, progress.epoch + 1, step,
       learning_rate(*settings_, progress.epoch), largest, worst, name_,
       has_checkpoint ? "The last good checkpoint is " : "There is no checkpoint before it",
       has_checkpoint ? last.string() : "");
}

}  // namespace bsq
