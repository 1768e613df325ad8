// The format c of `bsq export`: a file and its header. A C compiler makes a program of them, whose check and whose
// logits must be those of the deployed arithmetic, bit for bit, before the files get their names.
#include "engine/base/text.h"
#include "engine/files/atomic_file.h"
#include "engine/training/experiment.h"
#include "kernels/base/error.h"
#include "kernels/devices.h"
#include "tools/cli/build_info.h"
#include "tools/export/c/c_compiler.h"
#include "tools/export/formats.h"
#include "tools/export/sha256.h"
#include "tools/export/verification.h"
#include "tools/session/deployed_model.h"

#include <bit>

namespace bsq {
namespace {

namespace fs = std::filesystem;

/// A folder beside the output, removed with all that is in it.
class VerificationFolder {
 public:
  explicit VerificationFolder(const fs::path& output) : path_(temporary_name(fs::path(output) += ".check")) {
    std::error_code code;
    fs::create_directory(path_, code);
    check_file(code, ErrorKind::checkpoint, path_, "cannot create the folder");
  }
  ~VerificationFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  VerificationFolder(const VerificationFolder&) = delete;
  VerificationFolder& operator=(const VerificationFolder&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

CModelOptions c_options(const ExportJob& job) {
  const OpenModel& from = job.model;
  CModelOptions options{.goal = job.optimize == "size" ? CGoal::size : CGoal::speed,
                        .name = from.spec.name,
                        .file = job.output.stem().string(),
                        .class_names = {},
                        .facts = {}};
  if (options.file.find_first_of("\"\\?\n\r") != std::string::npos)
    fail(ErrorKind::usage, "{}: a line of C cannot include a header of such a name", job.output.string());
  const std::vector<std::string> names = from.card.class_names.value_or(std::vector<std::string>{});
  if (static_cast<int>(names.size()) == from.network.num_classes()) options.class_names = names;
  const BitSummary bits = summarize_bits(*from.weights, from.network);
  options.facts = {
      fmt::format("Made by bsq {}, optimized for {}.", kVersion, options.goal == CGoal::size ? "size" : "speed"),
      fmt::format("Source: {}, SHA-256", from.file.path.filename().string()),
      sha256_hex(read_text_file(from.file.path, ErrorKind::checkpoint)),
      fmt::format("Weights: {:.3f} bits each; activations: {} bits, {}.", bits.bits_per_parameter(),
                  job.config.quant.act_bits, block_activation(job.config.quant))};
  return options;
}

/// Runs what has really been written. Says what came of it.
void verify(const ExportJob& job, const CModel& model, const AtomicFile& source, const AtomicFile& header,
            const DeployedNetwork& network, const VerificationImages& images, ExportOutcome& outcome) {
  const ErrorKind kind = ErrorKind::checkpoint;
  const std::string source_read = read_text_file(source.temporary(), kind);
  const std::string header_read = read_text_file(header.temporary(), kind);
  const auto differs = [&](const std::string& what) {
    fail(ErrorKind::verification, "{}: {}; nothing was written, please report it", job.output.string(), what);
  };
  if (source_read != model.source || header_read != model.header) differs("came back changed");
  const std::optional<fs::path> compiler = find_c_compiler();
  outcome.is_verified = compiler.has_value();
  outcome.verified = "no C compiler (cc) is here";
  if (!compiler) return;
  const std::string name = job.output.stem().string();
  const VerificationFolder folder(job.output);
  write_file_atomically(folder.path() / (name + ".c"), source_read, kind);
  write_file_atomically(folder.path() / (name + ".h"), header_read, kind);
  const std::vector<std::uint8_t> pictures = first_pictures(*images.images, verified_count(*images.images));
  const CAnswers found = run_c_model(*compiler, folder.path(), name, model, pictures);
  if (!found.fault.empty()) differs(found.fault);
  outcome.is_verified = found.is_startable;
  outcome.verified = "programs cannot be started in the folder of " + job.output.string();
  if (!found.is_startable) return;
  const std::vector<float> expected = run_deployed(network, pictures, job.config.threads);
  std::size_t different = expected.size() - std::min(expected.size(), found.logits.size());
  for (std::size_t i = 0; i < std::min(expected.size(), found.logits.size()); ++i)
    different += std::bit_cast<std::uint32_t>(expected[i]) != std::bit_cast<std::uint32_t>(found.logits[i]);
  if (different > 0 || found.logits.size() != expected.size())
    differs(fmt::format("{} of {} logits are others than the deployed arithmetic's", different, expected.size()));
  outcome.verified = fmt::format("compiled with {} and run on {} {}: its check, and every logit bit for bit",
                                 compiler->string(), verified_count(*images.images), images.what);
}

}  // namespace

ExportOutcome export_c(const ExportJob& job, Console& console) {
  const OpenModel& from = job.model;
  const CModelOptions options = c_options(job);
  const VerificationImages images = verification_images(job.config, console);
  if (!images.is_stand_in) check_classes(from, images.images->info(), console);
  const Network network = network_for(from, images.images->info());
  const auto backend = make_backend("cpu", {.threads = job.config.threads});
  const Deployment deployment = deploy_model(from, from.weights, network, job.config, *backend);
  const CModel model = c_model(deployment.network, options);
  const DeployedTensor& picture = deployment.network.tensors[0];
  ExportOutcome outcome{
      .what = fmt::format("C99 for {}: {}_predict reads bytes [{}, {}, {}]; workspace of {} bytes",
                          options.goal == CGoal::size ? "size" : "speed", model.prefix, picture.height, picture.width,
                          picture.channels, with_thousands(model.workspace_bytes)),
      .verified = {},
      .constant_bytes = model.constant_bytes};
  const fs::path header_path = fs::path(job.output).replace_extension(".h");
  AtomicFile source(job.output), header(header_path);
  source.write(model.source);
  header.write(model.header);
  source.sync();
  header.sync();
  verify(job, model, source, header, deployment.network, images, outcome);
  header.commit();
  source.commit();
  if (!deployment.rounded.empty()) outcome.notes.push_back(rounded_text(deployment));
  if (!images.is_stand_in)
    outcome.notes.push_back(accuracy_text(job, deployment.network, Arithmetic::integers, *images.images, console));
  return outcome;
}

}  // namespace bsq
