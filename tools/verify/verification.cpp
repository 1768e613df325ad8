#include "tools/verify/verification.h"

#include "engine/config/config_schema.h"
#include "engine/files/json.h"
#include "engine/ranks/ranks.h"
#include "kernels/base/error.h"
#include "tools/cli/build_info.h"
#include "tools/session/config_schema.h"
#include "tools/session/open_experiment.h"
#include "tools/session/open_teacher.h"
#include "tools/session/ranks.h"
#include "tools/session/run_files.h"
#include "tools/verify/epoch_choice.h"

#include <algorithm>
#include <array>
#include <random>

namespace bsq {
namespace {

namespace fs = std::filesystem;

void check_not_written(const fs::path& run) {
  const bool says_running = read_run_status(run).state == RunState::running;
  if (is_being_written(run).value_or(says_running))  // where nobody knows, the run's own word counts
    fail(ErrorKind::usage, "{}: this run is going on; wait for its end", run.string());
}

/// That of the run, with the overrides of whoever repeats it elsewhere.
Config config_to_verify(const VerifyOptions& options) {
  const fs::path file = options.run / "config.yaml";
  Config config = load_config(config_schema(), file, options.overrides);
  std::string message;
  for (const std::string& line : differences(load_config(config_schema(), file), config, CompareKeys::fixed_on_resume))
    message +=
        fmt::format("{}{}; a run is verified as it was trained, drop the override", message.empty() ? "" : "\n", line);
  if (!message.empty()) throw Error(ErrorKind::usage, message);
  config.log.every_steps = 0;  // lines that nobody compares
  return config;
}

RunProofs proofs_of_run(const fs::path& run, const Config& config) {
  RunProofs proofs = proofs_of(read_log_lines(run), run.string());
  for (const EpochProof& epoch : proofs.epochs)
    if (std::ranges::find(config.stages, epoch.stage) == config.stages.end())
      fail(ErrorKind::checkpoint, "{}: metrics.csv is damaged: the run has no stage '{}'", run.string(), epoch.stage);
  if (proofs.epochs.empty())
    fail(ErrorKind::verification, "{}: no epoch of this run is over; there is nothing to verify", run.string());
  if (proofs.states.empty())
    fail(ErrorKind::verification,
         "{}: its log has no hashes of states: it was trained by an older version of bsq, and cannot be verified",
         run.string());
  return proofs;
}

int agreed_seed(const VerifyOptions& options, Communicator& ranks) {
  constexpr unsigned kMostSeeds = 1'000'000;  // short enough to be typed
  const int own = options.seed ? *options.seed : static_cast<int>(std::random_device()() % kMostSeeds);
  return std::stoi(broadcast_text(ranks, std::to_string(own)));
}

/// The entries of env.json which bits depend on, and which are others here; each `cpu: "..." of the run, "..." here`.
std::vector<std::string> other_here(const fs::path& run, const nlohmann::json& here) {
  std::error_code ignored;
  const fs::path file = run / "env.json";
  nlohmann::json then =
      parse_json_or_discard(fs::exists(file, ignored) ? read_text_file(file, ErrorKind::checkpoint) : "");
  if (!then.is_object()) return {"env.json does not say on which machine the run was trained"};
  // That of the last start.
  if (const auto engines = then.find("engines"); engines != then.end() && engines->is_object())
    if (engines->contains("device")) then["device"] = engines->at("device");
  std::vector<std::string> others;
  for (const char* name : {"bsq_version", "commit", "compiler", "libraries", "cpu", "device", "world_size"}) {
    const nlohmann::json before = then.value(name, nlohmann::json());
    if (before != here.at(name))
      others.push_back(fmt::format("{}: {} of the run, {} here", name,
                                   before.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
                                   here.at(name).dump()));
  }
  return others;
}

void check_data(const Config& opened, const std::optional<DataFingerprint>& then, const DataFingerprint& now) {
  const std::string changed = then ? changes(*then, now) : "";
  if (changed.empty()) return;
  fail(ErrorKind::data, "{}: not what the run was trained with: {}; bring the old images back",
       opened.data.root.empty() ? opened.data.kind : opened.data.root, changed);
}

class Repeater {
 public:
  Repeater(const fs::path& run, const RunProofs& proofs, Experiment& experiment, Console& console, Communicator& ranks)
      : directory_(RunDirectory::of_rank_0(run)),
        proofs_(proofs),
        experiment_(experiment),
        console_(console),
        ranks_(ranks) {}

  /// The first thing in which it has become another run.
  std::optional<ProofDifference> repeat(const Repetition& repetition) {
    const ReplayStart& start = *repetition.start;
    const auto epochs = static_cast<std::size_t>(repetition.until - start.epochs_done);
    lines_ = {};
    try {
      RunLog log = RunLog::in_memory(lines_);
      std::optional<CheckpointFiles> files;
      if (!start.folder.empty()) files = start.load();
      std::size_t seen = 0;
      // It ends with the first step behind the last epoch: what is done at the end of a stage belongs to it.
      const auto poll = [&] {
        if (lines_.csv.size() == seen) return Request::none;
        seen = lines_.csv.size();  // a header and a row per epoch
        const bool is_over = seen > epochs || difference().has_value();
        return largest_of(ranks_, is_over ? 1 : 0) == 1 ? Request::stop : Request::none;
      };
      experiment_.run(directory_, log, console_, poll, files ? &*files : nullptr);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::checkpoint && error.kind() != ErrorKind::diverged) throw;
      if (auto found = difference()) return found;
      return ProofDifference{place_after(lines_.csv.size(), start),
                             fmt::format("cannot be repeated: {}", error.what())};
    }
    if (auto found = difference()) return found;
    if (lines_.csv.size() > epochs) return std::nullopt;
    return ProofDifference{place_after(lines_.csv.size(), start), "the run ends before it when it is repeated"};
  }

 private:
  std::optional<ProofDifference> difference() const {
    return first_difference(proofs_, proofs_of(lines_, "what was repeated"));
  }

  /// The epoch of the log behind those that have been repeated: `lines` counts a header as well.
  RunPlace place_after(std::size_t lines, const ReplayStart& start) const {
    const std::size_t index = static_cast<std::size_t>(start.epochs_done) + std::max<std::size_t>(lines, 1) - 1;
    const EpochProof& epoch = proofs_.epochs[std::min(index, proofs_.epochs.size() - 1)];
    return {epoch.stage, epoch.epoch};
  }

  RunDirectory directory_;
  const RunProofs& proofs_;
  Experiment& experiment_;
  Console& console_;
  Communicator& ranks_;
  LogLines lines_;
};

/// A model of the run for its network, whatever has become of a file that the configuration names.
std::optional<TensorFile> kept_model(const KeptFiles& kept) {
  for (const ReplayStart& start : kept.starts) {
    if (start.folder.empty()) continue;
    try {
      TensorFile file = read_safetensors(start.folder / "model.safetensors");
      describe_model(file);
      return file;
    } catch (const Error&) {  // what is wrong with it shows where the run is repeated from it
    }
  }
  return std::nullopt;
}

bool begins_at_start(const EpochChoice& choice) {
  return std::ranges::any_of(choice.repetitions,
                             [](const Repetition& repetition) { return repetition.start->folder.empty(); });
}

int epoch_of_run(const Config& config, const RunPlace& place) {
  const auto stage = static_cast<int>(std::ranges::find(config.stages, place.stage) - config.stages.begin());
  return place.is_end ? epoch_of_run(config, stage + 1, 0) : epoch_of_run(config, stage, place.epoch);
}

/// What follows from the first difference of a repetition.
void note_difference(const Config& config, const Repetition& repetition, const ProofDifference& difference,
                     EpochChoice& choice, Verification& verification) {
  const int differs_at = epoch_of_run(config, difference.place);
  const bool is_its_start = differs_at <= repetition.start->epochs_done && !difference.place.is_end;
  const std::string where = difference.place.text();
  const std::string fault = is_its_start
                                ? fmt::format("{} is not that state: {}", repetition.start->name, difference.what)
                                : fmt::format("repeated from {}: {}", repetition.start->name, difference.what);
  for (const std::size_t i : repetition.checked) {
    CheckedEpoch& epoch = choice.checked[i];
    const int number = epoch_of_run(config, epoch.place);
    if (number < differs_at || (number == differs_at && difference.place.is_end)) continue;
    epoch.fault = number == differs_at ? difference.what : fmt::format("{} differs already", where);
  }
  verification.faults.push_back(fmt::format("{}: {}", where, fault));
}

/// Why there is nothing to repeat.
[[noreturn]] void fail_without_choice(const fs::path& run, const EpochChoice& choice) {
  std::string message;
  for (const PassedOver& passed : choice.passed_over)
    message += fmt::format("{}{}: epochs {} to {} of {} cannot be repeated: {}", message.empty() ? "" : "\n",
                           run.string(), passed.first, passed.last, passed.stage, passed.why);
  throw Error(ErrorKind::verification, message);
}

}  // namespace

Verification verify_run(const VerifyOptions& options, Console& console, Communicator& ranks) {
  check_not_written(options.run);
  const Config config = config_to_verify(options);
  const Config opened = with_paths_of(options.run, config, options.overrides);
  const RunProofs proofs = proofs_of_run(options.run, config);
  const KeptFiles kept = find_kept_files(options.run, config, opened.model.init, proofs);
  Verification verification{.run = options.run,
                            .seed = agreed_seed(options, ranks),
                            .epochs = static_cast<int>(proofs.epochs.size()),
                            .checked = {},
                            .passed_over = {},
                            .kept = kept.models,
                            .faults = kept.faults,
                            .other_here = {}};
  EpochChoice choice = choose_epochs(config, proofs, kept, options, verification.seed);
  if (choice.checked.empty() && kept.faults.empty()) fail_without_choice(options.run, choice);

  ExperimentSource source{.config = config, .opened = opened};
  if (begins_at_start(choice) && !config.model.init.empty())
    source.init = open_start_model(read_model(opened.model.init, console), config);
  source.teacher = open_teacher(opened, console);
  const std::optional<TensorFile> model = kept_model(kept);
  source.trained = model ? &*model : nullptr;
  OpenExperiment open(std::move(source), console, ranks);
  check_data(opened, kept.data, open.experiment().data());
  if (kept.data) check_same_teacher(kept.teacher, open.experiment().teacher_hash(), opened.distill.model);
  verification.other_here = other_here(options.run, environment(config, open.backend(), ranks));
  for (const std::string& other : verification.other_here)
    console.warning(fmt::format("bits may be others than those of the run: {}", other));
  Repeater repeater(options.run, proofs, open.experiment(), console, ranks);
  for (const Repetition& repetition : choice.repetitions) {
    const ReplayStart& start = *repetition.start;
    const int epochs = repetition.until - start.epochs_done;
    console.info(epochs > 0 ? fmt::format("from {}: repeating {} epoch{}", start.name, epochs, epochs == 1 ? "" : "s")
                            : fmt::format("from {}: comparing its state with the log", start.name));
    if (const auto difference = repeater.repeat(repetition))
      note_difference(config, repetition, *difference, choice, verification);
    else if (start.is_checkpoint && std::ranges::find(verification.kept, start.name) == verification.kept.end())
      verification.kept.push_back(start.name);
  }
  verification.checked = std::move(choice.checked);
  verification.passed_over = std::move(choice.passed_over);
  return verification;
}

}  // namespace bsq
