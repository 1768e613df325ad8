// Exported models in onnxruntime, which is not ours, on 1,000 images: the same logits, once a number halfway between
// two levels is taken to fall where it fell there. And those with IntQuant nodes in QONNX's own executor.
//
// Needs a Python with onnxruntime and qonnx (tools/peers.sh): BSQ_ONNXRUNTIME_PYTHON, or build/peers/bin/python.
#include "engine/files/atomic_file.h"
#include "tests/support/files.h"
#include "tests/tools/export/onnx/onnx_support.h"
#include "tests/tools/export/onnx/python_peers.h"
#include "tools/export/onnx/onnx_file.h"

#include <cmath>

namespace bsq::test {
namespace {

constexpr int kImages = 1000;
constexpr int kBatch = 100;

std::string bytes_of(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

/// Pictures [first, first + kBatch) of the set.
ImageSet batch_of(const ImageSet& pictures, int first) {
  ImageSet batch = pictures;
  batch.labels.resize(kBatch);
  const auto begin = pictures.pixels.begin() + static_cast<std::ptrdiff_t>(pictures.info().image_bytes()) * first;
  batch.pixels.assign(begin, begin + static_cast<std::ptrdiff_t>(pictures.info().image_bytes()) * kBatch);
  return batch;
}

/// What the engine says of all images, batch after batch.
std::vector<EngineRun> engine_on_all(const ResNetOptions& options, const TensorFile& plain, const Weights& weights) {
  const auto backend = make_backend("cpu", {.threads = 1});
  const ImageSet pictures = tiny_pictures("for onnxruntime", kImages);
  std::vector<EngineRun> runs;
  for (int first = 0; first < kImages; first += kBatch)
    runs.push_back(
        run_engine(*backend, make_resnet(options), plain, weights, batch_of(pictures, first), tiny_input(), kBatch));
  return runs;
}

/// The model with activation scales of its own in place of those of a batch.
void calibrate(ResNetOptions& options, TensorFile& plain, const Weights& weights) {
  const OnnxModel dynamic = network_graph(make_resnet(options), plain, weights, {});
  plain = with_act_scales(plain, dynamic, engine_on_all(options, plain, weights).front().images);
  options.static_act_scales = true;
}

/// The same model with one output, [N, all]: everything its quantizers write, then the logits.
OnnxModel with_everything_as_output(OnnxModel model, const RoundingGuide& quantizers) {
  std::vector<std::string> parts;
  for (const auto& [rounding, levels] : quantizers.levels) {
    const bool is_integer = count_nodes(model, "QuantizeLinear") > 0;
    const std::string written = rounding.substr(0, rounding.rfind('.')) + (is_integer ? ".quantized" : ".round");
    model.nodes.push_back(
        {written + ".flat", "Flatten", "", {written}, {written + ".flat"}, {{"axis", std::int64_t{1}}}});
    parts.push_back(written + ".flat");
  }
  parts.push_back(model.output.name);
  model.nodes.push_back({"everything", "Concat", "", parts, {"everything"}, {{"axis", std::int64_t{1}}}});
  model.output = {"everything", {"N", "all"}};
  return model;
}

/// The model's output for all images, [kImages, width], by a script of this folder.
GraphTensor run_script(const std::string& python, const std::string& script, const OnnxModel& model,
                       const std::vector<EngineRun>& batches) {
  const TemporaryFolder folder;
  std::string images;
  for (const EngineRun& batch : batches) images += bytes_of(batch.images.values);
  write_file_atomically(folder / "m.onnx", onnx_bytes(model));
  write_file_atomically(folder / "images", images);
  const std::string place = folder.path().string();
  const std::string command = fmt::format("'{}' '{}/tests/tools/export/onnx/{}' {}/m.onnx {}/images {}/output {}",
                                          python, BSQ_SOURCE_DIR, script, place, place, place, kBatch);
  REQUIRE(std::system(command.c_str()) == 0);
  const std::string bytes = text_of(folder / "output");
  GraphTensor output{{kImages, static_cast<std::int64_t>(bytes.size() / sizeof(float)) / kImages},
                     std::vector<float>(bytes.size() / sizeof(float))};
  std::memcpy(output.values.data(), bytes.data(), bytes.size());
  return output;
}

GraphTensor run_onnxruntime(const std::string& python, const OnnxModel& model, const std::vector<EngineRun>& batches) {
  return run_script(python, "run_onnx.py", model, batches);
}

/// Columns [first, first + width) of kBatch rows.
std::vector<float> block(const GraphTensor& table, int first_row, std::int64_t first, std::int64_t width) {
  std::vector<float> values;
  for (int row = first_row; row < first_row + kBatch; ++row) {
    const auto from = table.values.begin() + row * table.dims[1] + first;
    values.insert(values.end(), from, from + width);
  }
  return values;
}

struct RuntimeBatch {
  GraphTensor logits;
  RoundingGuide guide;
};

/// Cuts up what with_everything_as_output has brought.
RuntimeBatch runtime_batch(const GraphTensor& everything, const OnnxModel& model, const EngineRun& engine, int batch) {
  RuntimeBatch result;
  std::int64_t column = 0;
  for (const auto& [rounding, levels] : engine.guide.levels) {
    GraphTensor found{levels.dims, block(everything, batch * kBatch, column, levels.numel() / kBatch)};
    column += levels.numel() / kBatch;
    if (count_nodes(model, "QuantizeLinear") > 0) {
      const float unit = values_of(initializer(model, rounding.substr(0, rounding.rfind('.')) + ".unit")).at(0);
      for (float& value : found.values) value = std::nearbyint(value / unit);
    }
    result.guide.levels[rounding] = std::move(found);
  }
  result.logits = {engine.logits.dims, block(everything, batch * kBatch, column, everything.dims[1] - column)};
  REQUIRE(result.logits.values.size() == engine.logits.values.size());
  return result;
}

}  // namespace

TEST_CASE("onnxruntime says of 1,000 images what the engine says") {
  const std::string python = python_with({"onnxruntime"});
  if (python.empty() || !describe_onnx().starts_with("protobuf ")) {
    WARN("SKIPPED: needs a build with ONNX, and BSQ_ONNXRUNTIME_PYTHON or build/peers with onnxruntime");
    return;
  }
  const OnnxType narrowest = GENERATE(OnnxType::int8, OnnxType::int4, OnnxType::int2);
  INFO(name_of(narrowest));
  const ResNetOptions options = tiny_resnet(Activation::relu6, 0);
  const Network network = make_resnet(options);
  const Weights weights = fixed_weights(network, mixed_bits);
  const TensorFile plain = random_plain(network);
  const std::vector<EngineRun> engine = engine_on_all(options, plain, weights);
  const OnnxModel model = network_graph(network, plain, weights, {.narrowest = narrowest});
  const GraphTensor logits = run_onnxruntime(python, model, engine);
  for (int batch = 0; batch < kImages / kBatch; ++batch) {
    const EngineRun& own = engine[static_cast<std::size_t>(batch)];
    const LogitComparison found =
        compare_logits(own.logits, {own.logits.dims, block(logits, batch * kBatch, 0, own.logits.dims[1])});
    CHECK(found.largest_difference <= kLogitTolerance);
    CHECK(found.same_class == kBatch);
  }
}

TEST_CASE("onnxruntime rounds activations as the graph says, and decides ties alone by its own last bits") {
  const std::string python = python_with({"onnxruntime"});
  if (python.empty() || !describe_onnx().starts_with("protobuf ")) {
    WARN("SKIPPED: needs a build with ONNX, and BSQ_ONNXRUNTIME_PYTHON or build/peers with onnxruntime");
    return;
  }
  const int act_bits = GENERATE(2, 4, 8);
  const bool is_calibrated = GENERATE(false, true);
  INFO(act_bits << " bits of activations" << (is_calibrated ? ", calibrated" : ""));
  ResNetOptions options = tiny_resnet(act_bits == 2 ? Activation::pact : Activation::relu6, act_bits);
  const Weights weights = fixed_weights(make_resnet(options), mixed_bits);
  TensorFile plain = random_plain(make_resnet(options));
  if (is_calibrated) calibrate(options, plain, weights);
  const std::vector<EngineRun> engine = engine_on_all(options, plain, weights);
  const OnnxModel model = network_graph(make_resnet(options), plain, weights, {});
  const OnnxModel with_levels = with_everything_as_output(model, engine.front().guide);
  const GraphTensor everything = run_onnxruntime(python, with_levels, engine);
  const GraphTensor logits = run_onnxruntime(python, model, engine);
  std::int64_t same_class = 0;
  for (int batch = 0; batch < kImages / kBatch; ++batch) {
    const EngineRun& own = engine[static_cast<std::size_t>(batch)];
    RuntimeBatch theirs = runtime_batch(everything, model, own, batch);
    CHECK(theirs.logits.values == block(logits, batch * kBatch, 0, own.logits.dims[1]));
    same_class += compare_logits(own.logits, theirs.logits).same_class;
    const LogitComparison found = compare_logits(theirs.logits, evaluate_graph(model, own.images, &theirs.guide));
    INFO("batch " << batch << ", " << theirs.guide.ties << " of " << theirs.guide.rounded << " tied");
    CHECK(found.largest_difference <= kLogitTolerance);
    CHECK(found.same_class == kBatch);
    CHECK(theirs.guide.rounded > 0);
    CHECK(theirs.guide.disagreements == 0);
  }
  CHECK(same_class >= kImages - kImages / 100);
}

TEST_CASE("QONNX's executor says of 1,000 images what the engine says") {
  const std::string python = python_with({"qonnx"});
  if (python.empty() || !describe_onnx().starts_with("protobuf ")) {
    WARN("SKIPPED: needs a build with ONNX, and BSQ_ONNXRUNTIME_PYTHON or build/peers with qonnx");
    return;
  }
  const int act_bits = GENERATE(0, 4);
  INFO(act_bits << " bits of activations");
  ResNetOptions options = tiny_resnet(Activation::relu6, act_bits);
  const Weights weights = fixed_weights(make_resnet(options), mixed_bits);
  TensorFile plain = random_plain(make_resnet(options));
  if (act_bits > 0) calibrate(options, plain, weights);
  const std::vector<EngineRun> engine = engine_on_all(options, plain, weights);
  const OnnxModel model = network_graph(make_resnet(options), plain, weights, {.qonnx = true});
  const GraphTensor logits = run_script(python, "run_qonnx.py", model, engine);
  std::int64_t same_class = 0;
  for (int batch = 0; batch < kImages / kBatch; ++batch) {
    const EngineRun& own = engine[static_cast<std::size_t>(batch)];
    const LogitComparison found =
        compare_logits(own.logits, {own.logits.dims, block(logits, batch * kBatch, 0, own.logits.dims[1])});
    same_class += found.same_class;
    if (act_bits == 0) CHECK(found.largest_difference <= kLogitTolerance);  // else ties may fall to either side
  }
  CHECK(same_class >= kImages - (act_bits == 0 ? 0 : kImages / 100));
}

}  // namespace bsq::test
