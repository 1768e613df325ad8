#include "engine/training/experiment_data.h"

#include "engine/base/text.h"
#include "engine/ranks/local_peers.h"
#include "engine/ranks/ranks.h"
#include "engine/training/lsq_ceilings.h"
#include "kernels/base/thread_count.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace bsq {
namespace {

constexpr double kRingMiB = 1 << 20;
constexpr double kSetGiB = 1 << 30;

std::string stream_note(const Dataset& images, const std::string& name, const StreamingSource& source,
                        const SourceLimits& limits) {
  const double bytes = static_cast<double>(images.size()) * static_cast<double>(images.info().image_bytes());
  const std::string why = images.augments()
                              ? "are augmented as they are read"
                              : fmt::format("would take {:.3g} GiB, and {:.3g} are for images (data.memory)",
                                            bytes / kSetGiB, static_cast<double>(limits.resident_bytes) / kSetGiB);
  return fmt::format("{} {} images {}: read in every epoch, by {} thread{}, into {:.1f} MiB",
                     with_thousands(images.size()), name, why, limits.readers, limits.readers == 1 ? "" : "s",
                     static_cast<double>(source.host_bytes()) / kRingMiB);
}

}  // namespace

SourceLimits source_limits(const Config& config, const Backend& backend, Communicator& communicator) {
  const std::size_t processes = 1 + find_local_peers(communicator).size();
  const std::size_t of_device = backend.memory_bytes();
  std::size_t bytes = (of_device > 0 ? of_device : host_memory_bytes() / processes) / 2;
  if (config.data.memory > 0) bytes = static_cast<std::size_t>(config.data.memory * kSetGiB);
  const std::array<std::uint64_t, 1> own = {bytes};
  const std::vector<std::uint64_t> all = gather(communicator, std::span<const std::uint64_t>(own));
  const int cores = std::max(default_threads().threads / static_cast<int>(processes), 1);
  const int threads = config.threads > 0 ? config.threads : cores;
  return {.resident_bytes = static_cast<std::size_t>(std::ranges::min(all)),
          .readers = config.data.readers > 0 ? config.data.readers : threads};
}

ExperimentData::ExperimentData(DeviceMemory& memory, const DataSplits& data, const Config& config,
                               Communicator& communicator) {
  const SourceLimits limits = source_limits(config, memory.backend(), communicator);
  const auto stream = [&](const Dataset& images, const std::string& name, int batch) {
    return std::make_unique<StreamingSource>(memory, images, name,
                                             StreamOptions{.batch = batch, .threads = limits.readers});
  };
  const Dataset &train = *data.train, &test = *data.test;
  const int batch = config.data.batch_size, eval_batch = config.data.eval_batch_size;
  const bool calibrates = config.quant.act_scale == "calibrated";
  SourceLimits left = limits;
  const bool keeps_test = may_keep(test.info(), test.size(), left);  // the smaller one first
  const bool keeps_holdout = data.holdout && may_keep(data.holdout->info(), data.holdout->size(), left);
  const bool keeps_train = !train.augments() && may_keep(train.info(), train.size(), left);
  if (keeps_train) {
    const auto kept = std::make_shared<const ResidentImages>(memory, train, "training");
    fingerprint_.train = kept->fingerprint();
    train_ = std::make_unique<ResidentSource>(memory, kept, "training");
    if (calibrates) calibration_ = std::make_unique<ResidentSource>(memory, kept, "calibration");
  } else {
    fingerprint_.train = SetFingerprint::of_files(train);
    const auto of_rank = static_cast<int>(slice_of(batch, 0, communicator.world()).count);
    auto source = stream(train, "training", std::max(of_rank, std::min(batch, kMostFirstImages)));
    notes_.push_back(stream_note(train, "training", *source, limits));
    train_ = std::move(source);
    if (calibrates) calibration_ = stream(train, "calibration", eval_batch);
  }
  if (keeps_test) {
    auto kept = std::make_unique<ResidentSource>(memory, test, "test");
    fingerprint_.test = kept->fingerprint();
    test_ = std::move(kept);
  } else {
    fingerprint_.test = SetFingerprint::of_files(test);
    auto source = stream(test, "test", eval_batch);
    notes_.push_back(stream_note(test, "test", *source, limits));
    test_ = std::move(source);
  }
  if (keeps_holdout) {
    auto kept = std::make_unique<ResidentSource>(memory, *data.holdout, "held out");
    fingerprint_.holdout = kept->fingerprint();
    holdout_ = std::move(kept);
  } else if (data.holdout) {
    fingerprint_.holdout = SetFingerprint::of_files(*data.holdout);
    auto source = stream(*data.holdout, "held out", eval_batch);
    notes_.push_back(stream_note(*data.holdout, "held out", *source, limits));
    holdout_ = std::move(source);
  }
}

}  // namespace bsq
