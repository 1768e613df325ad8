// The slice of a batch that a rank of several has.
#pragma once

#include "kernels/backend.h"
#include "kernels/batch_slice.h"

namespace bsq {

/// A rank's samples among those of a batch. A rank with none takes part with one sample of its choice, which counts
/// nothing.
class RankSlice final : public BatchSlice {
 public:
  RankSlice(Backend& backend, Communicator& communicator, int samples, int batch)
      : backend_(backend), communicator_(communicator), samples_(samples), batch_(batch) {}

  std::int64_t rows_of_batch(std::int64_t rows) const override;
  void average(float* device, std::size_t count) override;
  void maximum(float* device, std::size_t count) override;

 private:
  Backend& backend_;
  Communicator& communicator_;
  int samples_;
  int batch_;
};

}  // namespace bsq
