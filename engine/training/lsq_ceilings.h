// What ceilings of LSQ activations begin with, and steps and offsets of LSQ+ (METHOD 6): found on the first images,
// node after node, each behind those that have theirs already.
#pragma once

#include "engine/input/batch_source.h"
#include "engine/input/input_options.h"
#include "engine/model/model.h"
#include "kernels/ranks/communicator.h"

#include <cstdint>
#include <vector>

namespace bsq {

/// The ceilings, and steps of LSQ+, that `file`, which may be null, does not have.
std::vector<ParameterId> missing_ceilings(const Network& network, const TensorFile* file);

/// So few that they take no more memory than a step does.
inline constexpr int kMostFirstImages = 128;

struct FirstImages {
  InputOptions input;
  int count = 0;           // kMostFirstImages at most are taken
  std::uint64_t seed = 0;  // of the choice of images
};

/// Sets each of `ceilings` to 2 mean(y) sqrt(2^k - 1), y = max(z, 0) of one batch in inference; a step of LSQ+ to
/// (max x - min x) / (2^k - 1), and its offset to min x. One that would not be above 0 stays as it is. Every rank takes
/// what rank 0 finds. `source`: the training set.
void find_ceilings(Backend& backend, Model& model, BatchSource& source, const FirstImages& images,
                   const std::vector<ParameterId>& ceilings, Communicator& communicator);

}  // namespace bsq
