// The images of an experiment, for each of its readers: training, evaluation, calibration.
#pragma once

#include "engine/config/config.h"
#include "engine/input/sources.h"
#include "engine/training/data_fingerprint.h"
#include "kernels/ranks/communicator.h"

#include <memory>
#include <string>
#include <vector>

namespace bsq {

/// What a configuration says, or else half of the memory of the device, of which the processes of a machine have a part
/// each where it is that of the host. On all ranks the same.
SourceLimits source_limits(const Config& config, const Backend& backend, Communicator& communicator);

class ExperimentData {
 public:
  /// Reads the sets that are kept, the test set rather than the other. `data` must outlive it.
  ExperimentData(DeviceMemory& memory, const DataSplits& data, const Config& config, Communicator& communicator);

  BatchSource& train() { return *train_; }
  BatchSource& test() { return *test_; }
  /// The images that the best epoch is chosen on; null: the test set.
  BatchSource* holdout() { return holdout_.get(); }
  /// The training images once more; null unless activation scales are calibrated.
  BatchSource* calibration() { return calibration_.get(); }
  const DataFingerprint& fingerprint() const { return fingerprint_; }
  /// What a user should know of sets that are not kept, a sentence each.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  std::unique_ptr<BatchSource> train_;
  std::unique_ptr<BatchSource> test_;
  std::unique_ptr<BatchSource> holdout_;
  std::unique_ptr<BatchSource> calibration_;
  DataFingerprint fingerprint_;
  std::vector<std::string> notes_;
};

}  // namespace bsq
