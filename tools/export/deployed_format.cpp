// The format `deployed` of `bsq export`: what METHOD 16 needs of a model, for `bsq predict`, `bsq check` and programs
// of others. What comes back from the file must say the same of every picture.
#include "engine/deployed/check_vectors.h"
#include "engine/deployed/deployed_file.h"
#include "engine/deployed/deployed_run.h"
#include "engine/files/posix_file.h"
#include "engine/training/experiment.h"
#include "kernels/base/error.h"
#include "kernels/devices.h"
#include "tools/cli/build_info.h"
#include "tools/export/sha256.h"
#include "tools/export/verification.h"
#include "tools/session/deployed_model.h"

#include <algorithm>

namespace bsq {
namespace {

/// What a file says of itself besides the network.
void add_description(const ExportJob& job, TensorFile& file) {
  const OpenModel& from = job.model;
  for (const auto& [key, value] : picture_metadata(from.card)) file.metadata[key] = value;
  file.metadata["name"] = from.spec.name;
  file.metadata["bsq_version"] = kVersion;
  file.metadata["source"] = from.file.path.filename().string();
  file.metadata["source_sha256"] = sha256_hex(read_text_file(from.file.path, ErrorKind::checkpoint));
}

}  // namespace

ExportOutcome export_deployed(const ExportJob& job, Console& console) {
  const VerificationImages images = verification_images(job.config, console);
  const Dataset& set = *images.images;
  if (!images.is_stand_in) check_classes(job.model, set.info(), console);
  const Network network = network_for(job.model, set.info());
  const auto backend = make_backend("cpu", {.threads = job.config.threads});
  const Deployment made = deploy_model(job.model, job.model.weights, network, job.config, *backend);
  TensorFile file = deployed_file(made.network);
  add_check(made.network, make_check(made.network, first_pictures(set, std::min(kCheckPictures, verified_count(set)))),
            file);
  add_description(job, file);
  const std::vector<std::uint8_t> pictures = first_pictures(set, verified_count(set));
  const std::vector<float> expected = run_deployed(made.network, pictures, 1);
  write_safetensors(job.output, file, [&](const std::filesystem::path& temporary) {
    const TensorFile read = read_safetensors(temporary);
    const DeployedNetwork again = read_deployed(read);
    if (run_deployed(again, pictures, 1) != expected || !first_difference(again, *read_check(again, read)).empty())
      fail(ErrorKind::verification, "{}: came back as another network; nothing was written", job.output.string());
  });
  ExportOutcome outcome{
      .what = "integers for bsq predict (METHOD 16)",
      .verified = fmt::format("read back and run on {} {}: every logit bit for bit", verified_count(set), images.what)};
  if (!made.rounded.empty()) outcome.notes.push_back(rounded_text(made));
  if (!images.is_stand_in)
    outcome.notes.push_back(accuracy_text(job, made.network, Arithmetic::integers, set, console));
  return outcome;
}

}  // namespace bsq
