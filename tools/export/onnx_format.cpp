// The formats onnx and qonnx of `bsq export`. The file is read back and run by the evaluator of onnx/, and its
// logits are compared with the engine's.
#include "engine/base/text.h"
#include "engine/deployed/deploy.h"
#include "engine/files/atomic_file.h"
#include "engine/files/posix_file.h"
#include "engine/training/experiment.h"
#include "kernels/base/error.h"
#include "kernels/devices.h"
#include "tools/cli/build_info.h"
#include "tools/export/formats.h"
#include "tools/export/onnx/check_graph.h"
#include "tools/export/onnx/deployed_graph.h"
#include "tools/export/onnx/network_graph.h"
#include "tools/export/onnx/onnx_file.h"
#include "tools/export/sha256.h"
#include "tools/export/verification.h"
#include "tools/session/deployed_model.h"
#include "tools/session/model_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace bsq {
namespace {

namespace fs = std::filesystem;

/// As a share of the largest logit, or of 1: float32 sums are made in another order.
constexpr double kLogitTolerance = 1e-4;

/// Runs the file that has been written; returns the sentence that says what came of it.
std::string verify(const fs::path& temporary, const fs::path& output, EngineRun& engine, const std::string& images) {
  const OnnxModel model = parse_onnx(read_text_file(temporary, ErrorKind::checkpoint));
  const LogitComparison found = compare_logits(engine.logits, evaluate_graph(model, engine.images, &engine.guide));
  const RoundingGuide& guide = engine.guide;
  const double tolerance = kLogitTolerance * std::max(found.largest_logit, 1.0);
  const std::string rounded = with_thousands(static_cast<std::uint64_t>(guide.rounded));
  if (!(found.largest_difference <= tolerance) || guide.disagreements > 0)
    fail(ErrorKind::verification,
         "{}: max abs logit diff {:.3g} (at most {:.1g}), top-1 differs on {} of {} {}, {} of {} activations rounded "
         "to another level; nothing was written, please report it",
         output.string(), found.largest_difference, tolerance, found.images - found.same_class, found.images, images,
         guide.disagreements, rounded);
  std::string text = fmt::format("read back and run on {} {}: max abs logit diff {:.2g}, same top-1 on {}",
                                 found.images, images, found.largest_difference,
                                 found.same_class == found.images ? "all" : std::to_string(found.same_class));
  if (guide.rounded > 0) text += fmt::format("; {} of {} activations tied between two levels", guide.ties, rounded);
  return text;
}

void add_description(const ExportJob& job, OnnxModel& model) {
  const OpenModel& from = job.model;
  const double bits = summarize_bits(*from.weights, from.network).bits_per_parameter();
  model.producer_name = "bsq";
  model.producer_version = kVersion;
  model.graph_name = from.spec.name;
  const std::map<std::string, std::string> own = {
      {"form", std::string(from.weights->form())},
      {"bits_per_weight", fmt::format("{:.4f}", bits)},
      {"act_bits", std::to_string(job.config.quant.act_bits)},
      {"activation", block_activation(job.config.quant)},
      {"source", from.file.path.filename().string()},
      {"source_sha256", sha256_hex(read_text_file(from.file.path, ErrorKind::checkpoint))}};
  model.metadata.insert(own.begin(), own.end());
  for (const auto& [key, value] : picture_metadata(from.card)) model.metadata[key] = value;
  if (from.weights->is_quantized()) model.metadata["scheme"] = scheme_to_json(*from.weights, from.layout);
}

std::string types_text(const OnnxModel& model) {
  std::set<std::string> types;
  for (const OnnxTensor& tensor : model.initializers)
    if (tensor.dims.size() > 1 && tensor.type != OnnxType::float32) types.insert(name_of(tensor.type));
  if (types.empty()) return model.opsets.size() > 1 ? "IntQuant nodes of exact widths" : "weights in FLOAT";
  return fmt::format("weights in {}", fmt::join(types, ", "));
}

/// Throws Error(usage) where the result of an image would depend on the others of its batch, unless that is asked for.
void check_batches(const ExportJob& job, const Network& network) {
  if (job.names_act_scale || !depends_on_batch(network)) return;
  const std::string path = job.model.file.path.string();
  fail(ErrorKind::usage,
       "{}: activations are scaled by the maximum of each batch, so that what is said of an image depends on the batch "
       "it is in; calibrate them: {}; or export it like that: quant.act_scale=batch_max",
       path, calibration_command(path));
}

OnnxType narrowest_type(const ExportJob& job) {
  if (job.min_container == "int4") return OnnxType::int4;
  return job.min_container == "int2" ? OnnxType::int2 : OnnxType::int8;
}

/// Says which types of a graph few runtimes read, or read in another way, and what to do about it.
void say_types(const ExportJob& job, const OnnxModel& model, Console& console) {
  const auto count = [&](OnnxType type) {
    return std::count_if(model.initializers.begin(), model.initializers.end(),
                         [&](const OnnxTensor& tensor) { return tensor.type == type && !tensor.dims.empty(); });
  };
  if (const auto wide = count(OnnxType::int16); wide > 0)
    console.warning(
        fmt::format("{} tensors of 8 bits reach from -255 to 255 and are INT16, which no runtime multiplies as "
                    "integers; 7 bits are "
                    "INT8: train with quant.weight_bits=7 quant.max_bits=7, or round: bsq convert {} OUT --max-bits 7, "
                    "and see what "
                    "it costs: bsq eval OUT",
                    wide, job.model.file.path.string()));
  if (count(OnnxType::int4) + count(OnnxType::int2) > 0)
    console.warning(
        "INT4 and INT2 make a file smaller, not faster: runtimes compute such convolutions in float32 or refuse them; "
        "leave out --min-container for INT8");
  const bool has_uint8 = std::any_of(model.initializers.begin(), model.initializers.end(),
                                     [](const OnnxTensor& tensor) { return tensor.type == OnnxType::uint8; });
  if (has_uint8)
    console.warning(
        "activations of 8 bits are UINT8, which TensorRT takes for INT8 and cuts off at half of their range; those of "
        "7 "
        "bits are INT8: quant.act_bits=7");
}

/// A graph, and what is to come out of it.
struct WrittenGraph {
  OnnxModel model;
  EngineRun expected;
  std::vector<std::string> notes = {};
};

/// The network without what the arithmetic of deployment rounds besides.
Network without_ranges(const OpenModel& model, const Dataset& images) {
  NetworkSpec spec = model.spec;
  spec.image = images.info().image();
  Quantizer quantizer = model.quantizer;
  quantizer.rounds_to_ranges = false;
  return build_network(spec, quantizer);
}

/// The network as it was trained, but for rounding to ranges.
WrittenGraph reference_graph(const ExportJob& job, bool qonnx, const Dataset& images) {
  const OpenModel& from = job.model;
  const Network network = without_ranges(from, images);
  WrittenGraph written{.model = network_graph(network, from.file, from.weights,
                                              {.qonnx = qonnx, .opset = job.opset, .narrowest = narrowest_type(job)}),
                       .expected = {}};
  const auto backend = make_backend("cpu", {.threads = job.config.threads});
  written.expected = run_engine(*backend, network, from.file, from.weights, images,
                                input_options(job.config, images.info()), verified_count(images));
  if (from.quantizer.rounds_to_ranges)
    written.notes.push_back(
        fmt::format("without what the model was trained to round besides (quant.deployed): that is in the graphs of "
                    "--runtime {}",
                    runtimes().front().name));
  return written;
}

std::string share_text(const IntegerShare& share, const Runtime& runtime) {
  return fmt::format("{} of {} convolutions run in integers in {}", share.integers, share.convolutions, runtime.name);
}

/// The network in its deployed form, for a runtime.
WrittenGraph runtime_graph(const ExportJob& job, const Network& network, const Runtime& runtime,
                           const VerificationImages& images, Console& console) {
  const Dataset& set = *images.images;
  const auto backend = make_backend("cpu", {.threads = job.config.threads});
  const Deployment deployment =
      deploy_model(job.model, job.model.weights, network, job.config, *backend, runtime.bytes);
  const int opset = job.opset.value_or(kUsualOpset);
  const DeployedGraphOptions options{.byte_input = job.byte_input,
                                     .input = input_options(job.config, set.info()),
                                     .opset = opset,
                                     .ir_version = ir_version_of(opset)};
  WrittenGraph written{.model = deployed_graph(deployment.network, runtime, options), .expected = {}};
  written.expected = run_deployed_for(deployment.network, runtime, options, first_pictures(set, verified_count(set)));
  const std::vector<std::uint8_t> checked = first_pictures(set, std::min(kCheckPictures, verified_count(set)));
  add_check(written.model, run_deployed_for(deployment.network, runtime, options, checked), checked, options.input);
  written.notes.push_back(share_text(integer_share(written.model, runtime), runtime));
  if (!deployment.rounded.empty()) written.notes.push_back(rounded_text(deployment));
  if (const int halfway = count_halfway_bytes(options.input, deployment.network.tensors[0].grid);
      halfway > 0 && runtime.arithmetic != Arithmetic::integers)
    written.notes.push_back(
        fmt::format("{} of {} bytes lie halfway between two levels of the picture, and {} may take the other one: a "
                    "data.mean of a whole number of 255ths, such as 0.50196078, leaves none there",
                    halfway, 256 * options.input.mean.size(), runtime.name));
  if (runtime.bytes == ByteKind::any_zero)
    written.notes.emplace_back(
        "levels are UINT8, which TensorRT takes for INT8 and cuts off: for it, --runtime tensorrt");
  if (!images.is_stand_in)
    written.notes.push_back(accuracy_text(job, deployment.network, runtime.arithmetic, set, console));
  return written;
}

/// The runtime to write for; null: the reference. Says why where it is not what most people want.
const Runtime* runtime_of(const ExportJob& job, const Network& network, bool has_ranges, Console& console) {
  if (job.runtime == kReferenceRuntime) return nullptr;
  if (!job.runtime.empty()) return find_runtime(job.runtime);
  if (!job.min_container.empty()) return nullptr;
  std::string obstacle = deployment_obstacle(network, job.config);
  if (obstacle.empty() && has_ranges) return &runtimes().front();
  if (obstacle.empty()) obstacle = "the ranges of its tensors are found on training images, which are not there";
  if (job.config.quant.act_bits > 0)
    console.info(fmt::format("{} has no deployed form: {}; this is its graph of training, in float32",
                             job.model.file.path.string(), obstacle));
  return nullptr;
}

ExportOutcome export_graph(const ExportJob& job, bool qonnx, Console& console) {
  const VerificationImages images = verification_images(job.config, console);
  const OpenModel& from = job.model;
  if (!images.is_stand_in) check_classes(from, images.images->info(), console);
  uses_calibrated_scales(from, job.config);  // or throws
  const Network network = network_for(from, images.images->info());
  check_batches(job, network);
  const bool has_ranges = !images.is_stand_in || has_all_ranges(from, network);
  const Runtime* runtime = qonnx ? nullptr : runtime_of(job, network, has_ranges, console);
  if (runtime == nullptr && job.byte_input)
    fail(ErrorKind::usage, "--input uint8: is for --runtime {}", runtimes().front().name);
  WrittenGraph written = runtime != nullptr ? runtime_graph(job, network, *runtime, images, console)
                                            : reference_graph(job, qonnx, *images.images);
  OnnxModel& model = written.model;
  add_description(job, model);
  if (runtime != nullptr) model.metadata["runtime"] = runtime->name;
  ExportOutcome outcome{.what = {}, .verified = {}, .notes = std::move(written.notes)};
  const DatasetInfo& image = images.images->info();
  outcome.what = fmt::format("ONNX opset {}, {}; input [N, {}, {}, {}], {}", model.opsets.at(""), types_text(model),
                             image.channels, image.height, image.width, job.byte_input ? "bytes" : "normalised");
  write_file_atomically(job.output, onnx_bytes(model), ErrorKind::checkpoint, [&](const fs::path& temporary) {
    outcome.verified = verify(temporary, job.output, written.expected, images.what);
  });
  if (!qonnx && runtime == nullptr) say_types(job, model, console);
  if (runtime == nullptr && depends_on_batch(network))
    console.warning(
        "activations are scaled by the maximum of each batch, as in training: what this model says of an image depends "
        "on the batch it is in");
  return outcome;
}

}  // namespace

ExportOutcome export_onnx(const ExportJob& job, Console& console) {
  return export_graph(job, /*qonnx=*/false, console);
}

ExportOutcome export_qonnx(const ExportJob& job, Console& console) {
  return export_graph(job, /*qonnx=*/true, console);
}

}  // namespace bsq
