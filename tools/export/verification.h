// What formats of deployed models share: the pictures they are verified on, and what is said of their accuracy.
#pragma once

#include "tools/export/formats.h"
#include "tools/session/deployed_model.h"
#include "tools/session/evaluate_model.h"

#include <memory>
#include <string>
#include <vector>

namespace bsq {

struct VerificationImages {
  std::unique_ptr<const Dataset> images;
  std::string what;  // `test images of cifar10`
  bool is_stand_in = false;
};

/// Test images of the configured data, or images of the synthetic set if the data is not there.
VerificationImages verification_images(const Config& config, Console& console);
/// How many pictures travel with a deployed model, at most.
constexpr int kCheckPictures = 8;
/// How many of them a file is verified on.
int verified_count(const Dataset& images);
/// The first ones, [count, H, W, 3].
std::vector<std::uint8_t> first_pictures(const Dataset& images, int count);

/// Accuracies stand side by side, never one alone: in integers, and in the arithmetic of training.
std::string accuracy_text(const ExportJob& job, const DeployedNetwork& network, Arithmetic arithmetic,
                          const Dataset& images, Console& console);
/// Which filters have been rounded.
std::string rounded_text(const Deployment& deployment);

}  // namespace bsq
