// The slice of a batch that one of several ranks has.
#pragma once

#include "kernels/backend.h"
#include "kernels/batch_slice.h"

namespace bsq {

/// A rank's samples among those of a batch. A rank without samples takes part with any one, whose weight is 0.
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
