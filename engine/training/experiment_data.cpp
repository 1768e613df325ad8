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

std::string stream_note(const Dataset& images, const std::string& name, bool is_augmented,
                        const StreamingSource& source, const SourceLimits& limits) {
  const double bytes = static_cast<double>(images.size()) * static_cast<double>(images.info().image_bytes());
  const std::string why = is_augmented
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
  const auto stream = [&](const Dataset& images, const std::string& name, int batch, int stride = 0) {
    return std::make_unique<StreamingSource>(
        memory, images, name, StreamOptions{.batch = batch, .stride = stride, .threads = limits.readers});
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
    auto source = stream(train, "training", std::max(of_rank, std::min(batch, kMostFirstImages)), batch);
    notes_.push_back(stream_note(train, "training", train.augments(), *source, limits));
    train_ = std::move(source);
    if (calibrates) calibration_ = stream(train, "calibration", eval_batch);
  }
  const auto evaluated = [&](const Dataset& images, const std::string& name, bool keeps,
                             SetFingerprint& fingerprint) -> std::unique_ptr<BatchSource> {
    if (keeps) {
      auto kept = std::make_unique<ResidentSource>(memory, images, name);
      fingerprint = kept->fingerprint();
      return kept;
    }
    fingerprint = SetFingerprint::of_files(images);
    auto source = stream(images, name, eval_batch);
    notes_.push_back(stream_note(images, name, /*is_augmented=*/false, *source, limits));
    return source;
  };
  test_ = evaluated(test, "test", keeps_test, fingerprint_.test);
  if (data.holdout) holdout_ = evaluated(*data.holdout, "held out", keeps_holdout, fingerprint_.holdout.emplace());
}

}  // namespace bsq
