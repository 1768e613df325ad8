// Static activation scales: what a deployed model quantizes its activations by, since it cannot look for the maximum of
// a batch (METHOD 11); and the ranges that it rounds other numbers to, if the network rounds to them (METHOD 16).
#pragma once

#include "engine/input/batch_source.h"
#include "engine/input/input_options.h"
#include "engine/model/model.h"
#include "engine/network/executor.h"
#include "engine/network/value_extremes.h"
#include "engine/ranks/ranks.h"
#include "engine/training/step_feed.h"
#include "kernels/ranks/communicator.h"

#include <memory>

namespace bsq {

struct CalibrationOptions {
  InputOptions input;
  int batch_size = 0;
  int batches = 0;         // at most; fewer if the set is smaller
  std::uint64_t seed = 0;  // of the choice of images
};

/// Whether a network has scales or ranges that are not learned.
bool needs_calibration(const Network& network);

class Calibrator {
 public:
  /// All references must outlive the calibrator. `source`: the training set, read by nobody else.
  Calibrator(DeviceMemory& memory, Model& model, BatchSource& source, const CalibrationOptions& options,
             Communicator& communicator);

  /// Sets every activation scale of the model to the mean over the batches of max|y|, as inference sees it, and every
  /// range to the means of the least and the largest number, 0 among them; both of inference that rounds to no range.
  /// Each rank runs its share of the batches; the result does not depend on how many ranks there are.
  void run();
  bool finds_ranges() const { return !places_.empty(); }

 private:
  /// A quantizer, the unit of its output after a forward pass, and where its scale is kept.
  struct Quantizer {
    const float* unit = nullptr;
    float levels = 0;
    float* scale = nullptr;
  };

  void enqueue_images();
  /// One batch: the scales, then low and high of each range.
  void find(float* scales, float* ranges);
  /// The mean over the batches of what lies at `offset` in each record of all ranks.
  float mean_of(const std::vector<float>& all, std::size_t offset) const;
  std::size_t record_size() const { return quantizers_.size() + 2 * places_.size(); }

  Backend& backend_;
  Model& model_;
  BatchSource& source_;
  CalibrationOptions options_;
  Communicator& communicator_;
  Executor executor_;
  Buffer labels_;
  Slice own_;      // batches of this rank
  StepFeed feed_;  // their steps, the same in every run
  std::vector<Quantizer> quantizers_;
  std::vector<RoundedPlace> places_;
  ExtremesWatch watch_;
  std::unique_ptr<CapturedWork> captured_;
};

}  // namespace bsq
