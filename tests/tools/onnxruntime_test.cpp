// Exported models in onnxruntime, which is not ours: the same logits on 1,000 images.
//
// Needs a Python with onnxruntime (pip install onnxruntime): BSQ_ONNXRUNTIME_PYTHON, or build/ort-venv/bin/python.
#include "engine/atomic_file.h"
#include "tests/engine/files_support.h"
#include "tests/tools/tools_support.h"
#include "tools/onnx/onnx_file.h"

#include <cmath>
#include <cstdlib>

namespace bsq::test {
namespace {

constexpr int kImages = 1000;
constexpr int kBatch = 100;
constexpr double kLogitTolerance = 1e-4;

/// Empty where there is none.
std::string python_with_onnxruntime() {
  const char* const named = std::getenv("BSQ_ONNXRUNTIME_PYTHON");
  const fs::path python = named != nullptr
                              ? fs::path(named)
                              : fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "ort-venv/bin/python";
  const std::string check = "'" + python.string() + "' -c 'import onnxruntime' 2>/dev/null";
  return fs::exists(python) && std::system(check.c_str()) == 0 ? python.string() : "";
}

std::string bytes_of(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

/// What the engine says of all images, batch after batch, and the images.
EngineRun engine_on_all(const ResNetOptions& options, const TensorFile& plain, const HostWeights& weights) {
  const auto backend = make_backend("cpu", {.threads = 1});
  const ImageSet pictures = tiny_pictures("for onnxruntime", kImages);
  EngineRun all;
  for (int first = 0; first < kImages; first += kBatch) {
    ImageSet batch = pictures;
    batch.labels.resize(kBatch);
    const auto begin = pictures.pixels.begin() + static_cast<std::ptrdiff_t>(pictures.image_bytes()) * first;
    batch.pixels.assign(begin, begin + static_cast<std::ptrdiff_t>(pictures.image_bytes()) * kBatch);
    const EngineRun run = run_engine(*backend, make_resnet(options), plain, weights, batch, tiny_input(), kBatch);
    all.images.values.insert(all.images.values.end(), run.images.values.begin(), run.images.values.end());
    all.logits.values.insert(all.logits.values.end(), run.logits.values.begin(), run.logits.values.end());
  }
  all.logits.dims = {kImages, options.num_classes};
  return all;
}

GraphTensor run_onnxruntime(const std::string& python, const OnnxModel& model, const EngineRun& engine) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "m.onnx", onnx_bytes(model));
  write_file_atomically(folder / "images", bytes_of(engine.images.values));
  const std::string place = folder.path().string();
  const std::string command = fmt::format("'{}' '{}/tests/tools/run_onnx.py' {}/m.onnx {}/images {}/logits {}", python,
                                          BSQ_SOURCE_DIR, place, place, place, kBatch);
  REQUIRE(std::system(command.c_str()) == 0);
  const std::string bytes = text_of(folder / "logits");
  GraphTensor logits{engine.logits.dims, std::vector<float>(bytes.size() / sizeof(float))};
  std::memcpy(logits.values.data(), bytes.data(), bytes.size());
  REQUIRE(logits.values.size() == engine.logits.values.size());
  return logits;
}

/// Images of which some logit differs by more than the tolerance.
int images_apart(const GraphTensor& a, const GraphTensor& b) {
  int count = 0;
  const auto width = static_cast<std::size_t>(a.dims[1]);
  for (std::size_t n = 0; n < static_cast<std::size_t>(a.dims[0]); ++n) {
    double apart = 0;
    for (std::size_t c = n * width; c < (n + 1) * width; ++c)
      apart = std::max(apart, std::abs(double{a.values[c]} - b.values[c]));
    count += apart > kLogitTolerance;
  }
  return count;
}

}  // namespace

TEST_CASE("onnxruntime says of 1,000 images what the engine says") {
  const std::string python = python_with_onnxruntime();
  if (python.empty() || !describe_onnx().starts_with("protobuf ")) {
    WARN("SKIPPED: needs a build with ONNX, and BSQ_ONNXRUNTIME_PYTHON or build/ort-venv with onnxruntime");
    return;
  }
  const auto [act_bits, opset] =
      GENERATE(std::pair{0, 21}, std::pair{0, 25}, std::pair{2, 21}, std::pair{4, 21}, std::pair{8, 25});
  INFO(act_bits << " bits of activations, opset " << opset);
  const ResNetOptions options = tiny_resnet(act_bits == 2 ? Activation::pact : Activation::relu6, act_bits);
  const Network network = make_resnet(options);
  const HostWeights weights = fixed_weights(network, mixed_bits);
  const TensorFile plain = random_plain(network);
  const EngineRun engine = engine_on_all(options, plain, weights);
  const OnnxModel model = network_graph(network, plain, weights, {.opset = opset});
  const GraphTensor logits = run_onnxruntime(python, model, engine);
  const LogitComparison found = compare_logits(engine.logits, logits);
  const int apart = images_apart(engine.logits, logits);
  INFO("max abs logit diff " << found.largest_difference << ", " << apart << " images apart");
  if (act_bits == 0) {
    CHECK(found.largest_difference <= kLogitTolerance);
    CHECK(found.same_class == kImages);
  } else {  // an activation halfway between two levels may fall to the other side, and moves the logits of its image
    CHECK(apart <= kImages / 10);
    CHECK(found.same_class >= kImages - kImages / 100);
  }
}

}  // namespace bsq::test
