// A trained model in its deployed form (METHOD 16), and its accuracy there.
#pragma once

#include "engine/deployed/deploy.h"
#include "engine/deployed/deployed_run.h"
#include "engine/training/evaluator.h"
#include "tools/session/open_model.h"

#include <functional>
#include <string>

namespace bsq {

/// Why a model has no deployed form, in words that go on after its name; empty: it has.
std::string deployment_obstacle(const Network& network, const Config& config);
/// Whether the model has all ranges that its deployed form needs, so that no training images are needed: it was trained
/// with quant.deployed, or the form needs none.
bool has_all_ranges(const OpenModel& model, const Network& network);
/// `weights`: those of the model, or others of its network; `network`: for images of the configured data. Ranges that
/// the model does not say are found on training images. Throws Error(data) if there are none, Error(usage) if the model
/// has no deployed form.
Deployment deploy_model(const OpenModel& model, const Weights& weights, const Network& network, const Config& config,
                        Backend& backend, ByteKind bytes = ByteKind::any_zero);
/// All images in the order of the set. They must be of the size of the network's. METHOD 16 runs on `backend`, but for
/// the CPU's, in whose place `threads` run DeployedProgram, as for other arithmetic; the results are the same. `watch`
/// is told now and then how many are done, and may throw. Throws Error(device) if the device has not enough memory for
/// one image.
EvalResult evaluate_deployed(const DeployedNetwork& network, const Dataset& images, Backend& backend, int threads,
                             Arithmetic arithmetic = Arithmetic::integers,
                             const std::function<void(std::int64_t done)>& watch = {});

}  // namespace bsq
