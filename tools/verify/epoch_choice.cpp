#include "tools/verify/epoch_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

namespace bsq {
namespace {

struct Candidate {
  CheckedEpoch epoch;
  const ReplayStart* start = nullptr;
  int number = 0;  // over all stages, from 1
};

/// The last start from which the epoch is still to come; null if there is none.
const ReplayStart* nearest_start(const std::vector<ReplayStart>& starts, int number) {
  const ReplayStart* nearest = nullptr;
  for (const ReplayStart& start : starts)
    if (start.epochs_done < number) nearest = &start;
  return nearest;
}

/// Why an epoch cannot be chosen; empty if it can.
std::string obstacle(const Candidate& candidate, const KeptFiles& kept, const VerifyOptions& options) {
  if (candidate.epoch.hash.empty()) return "the log has no hash of its state, as those of older versions of bsq";
  if (candidate.start == nullptr)
    return fmt::format("nothing before it is kept: {}; more is kept with checkpoint.keep_last=N", kept.no_start_of_run);
  if (options.within && candidate.epoch.repeated > *options.within)
    return fmt::format("from the nearest state that is kept it takes more than {} epochs (--within)", *options.within);
  return {};
}

void pass_over(std::vector<PassedOver>& list, const RunPlace& place, const std::string& why) {
  if (!list.empty() && list.back().stage == place.stage && list.back().why == why &&
      list.back().last + 1 == place.epoch)
    list.back().last = place.epoch;
  else
    list.push_back({place.stage, place.epoch, place.epoch, why});
}

/// `count` of them, every choice as likely as another, in their order.
void keep_some(std::vector<Candidate>& candidates, std::size_t count, int seed) {
  std::mt19937_64 random(static_cast<std::uint64_t>(seed));
  for (std::size_t i = 0; i < std::min(count, candidates.size()); ++i)
    std::swap(candidates[i], candidates[i + random() % (candidates.size() - i)]);
  if (count < candidates.size())
    candidates.erase(candidates.begin() + static_cast<std::ptrdiff_t>(count), candidates.end());
  std::ranges::sort(candidates, {}, &Candidate::number);
}

}  // namespace

EpochChoice choose_epochs(const Config& config, const RunProofs& proofs, const KeptFiles& kept,
                          const VerifyOptions& options, int seed) {
  EpochChoice choice;
  std::vector<Candidate> candidates;
  for (const EpochProof& epoch : proofs.epochs) {
    Candidate candidate;
    const int stage = static_cast<int>(std::ranges::find(config.stages, epoch.stage) - config.stages.begin());
    candidate.number = epoch_of_run(config, stage, epoch.epoch);
    candidate.start = nearest_start(kept.starts, candidate.number);
    candidate.epoch.place = {epoch.stage, epoch.epoch};
    candidate.epoch.hash = proofs.state_after(epoch.stage, epoch.epoch);
    if (candidate.start != nullptr) {
      candidate.epoch.from = candidate.start->name;
      candidate.epoch.repeated = candidate.number - candidate.start->epochs_done;
    }
    if (const std::string why = obstacle(candidate, kept, options); !why.empty())
      pass_over(choice.passed_over, candidate.epoch.place, why);
    else
      candidates.push_back(std::move(candidate));
  }
  if (options.epochs) keep_some(candidates, static_cast<std::size_t>(*options.epochs), seed);

  for (const ReplayStart& start : kept.starts) {
    Repetition repetition{&start, start.epochs_done, {}};
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      if (candidates[i].start != &start) continue;
      repetition.until = std::max(repetition.until, candidates[i].number);
      repetition.checked.push_back(i);
    }
    const bool has_state_in_log = start.is_checkpoint && start.progress.epoch > 0;
    if (!repetition.checked.empty() || has_state_in_log) choice.repetitions.push_back(std::move(repetition));
  }
  for (Candidate& candidate : candidates) choice.checked.push_back(std::move(candidate.epoch));
  return choice;
}

}  // namespace bsq
