// Pictures in the metadata of a graph: what they say is what a runtime of others finds, and a changed file is found.
#include "tools/export/onnx/check_graph.h"

#include "engine/files/atomic_file.h"
#include "tests/support/files.h"
#include "tests/tools/export/onnx/deployed_support.h"
#include "tests/tools/export/onnx/python_peers.h"
#include "tools/export/onnx/onnx_file.h"

#include <cstdlib>

namespace bsq::test {
namespace {

/// A graph with its pictures, as the export writes it.
OnnxModel graph_with_check(const std::string& name, const std::string& runtime_name, bool byte_input) {
  const DeployedCase made = deployed_case(name);
  const Runtime& runtime = *find_runtime(runtime_name);
  const DeployedGraphOptions options{
      .byte_input = byte_input, .input = made.input, .opset = kUsualOpset, .ir_version = ir_version_of(kUsualOpset)};
  OnnxModel model = deployed_graph(made.deployment.network, runtime, options);
  add_check(model, run_deployed_for(made.deployment.network, runtime, options, made.pictures), made.pictures,
            made.input);
  model.metadata["runtime"] = runtime_name;
  return model;
}

std::string checked(const OnnxModel& model, const std::string& runtime = "") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "m.onnx", onnx_bytes(model));
  return check_graph(folder / "m.onnx", runtime);
}

/// The environment as it was, afterwards.
class PythonSetting {
 public:
  explicit PythonSetting(const std::string& value) { ::setenv("BSQ_PYTHON", value.c_str(), 1); }
  ~PythonSetting() { ::unsetenv("BSQ_PYTHON"); }
  PythonSetting(const PythonSetting&) = delete;
  PythonSetting& operator=(const PythonSetting&) = delete;
};

bool has_onnx() {
  return describe_onnx().starts_with("protobuf ");
}

}  // namespace

TEST_CASE("a graph is held against onnxruntime by the pictures that it carries") {
  const std::string python = python_with({"onnx", "onnxruntime"});
  if (python.empty() || !has_onnx()) {
    WARN("SKIPPED: needs a build with ONNX, and BSQ_ONNXRUNTIME_PYTHON or build/peers with onnx and onnxruntime");
    return;
  }
  const PythonSetting setting(python);
  const std::string name = GENERATE("resnet of 2 bits", "mixed");
  const bool byte_input = GENERATE(false, true);
  INFO(name << (byte_input ? ", bytes" : ""));
  OnnxModel model = graph_with_check(name, "onnxruntime", byte_input);
  CHECK_THAT(checked(model), Catch::StartsWith("4 pictures in onnxruntime: every level of ") &&
                                 Catch::Contains(" tensors as in the arithmetic of METHOD 16, max abs logit diff "));
  for (OnnxTensor& tensor : model.initializers)
    if (tensor.type == OnnxType::int8 && tensor.dims.size() == 4) tensor.raw[0] ^= 0x10;
  CHECK_THAT(error_of(ErrorKind::verification, [&] { checked(model); }),
             Catch::Contains("m.onnx: onnxruntime computes other levels in "));
}

TEST_CASE("a graph for OpenVINO is held against it by classes and logits") {
  const std::string python = python_with({"onnx", "openvino"});
  if (python.empty() || !has_onnx()) {
    WARN("SKIPPED: needs a build with ONNX, and BSQ_ONNXRUNTIME_PYTHON or build/peers with onnx and openvino");
    return;
  }
  const PythonSetting setting(python);
  const OnnxModel model = graph_with_check("resnet of 8 bits", "openvino", true);
  CHECK_THAT(checked(model), Catch::StartsWith("4 pictures in openvino: all in the same class, "));
}

TEST_CASE("what cannot be checked in a runtime is said") {
  if (!has_onnx()) {
    WARN("SKIPPED: needs a build with ONNX");
    return;
  }
  const PythonSetting setting("/nowhere/python");
  OnnxModel model = graph_with_check("mixed", "onnxruntime", true);
  CHECK(error_of(ErrorKind::device, [&] { checked(model); }) ==
        "/nowhere/python: no such program; BSQ_PYTHON names a Python that has onnxruntime");
  CHECK_THAT(error_of(ErrorKind::usage, [&] { checked(model, "tensorrt"); }),
             Catch::Contains("m.onnx: is for tensorrt, which bsq cannot start; metadata 'check' has pictures "));
  const std::string whole = model.metadata.at("check");
  for (const std::string& text : {std::string("{"), std::string("[]"), whole.substr(0, whole.size() / 2),
                                  std::string(R"({"shape": [3, 8, 8, 3], "logits": [1, 2]})")}) {
    model.metadata["check"] = text;
    CHECK_THAT(error_of(ErrorKind::verification, [&] { checked(model); }),
               Catch::Contains("m.onnx: metadata 'check': ") && Catch::EndsWith("; the file is damaged"));
  }
  model.metadata.erase("check");
  CHECK_THAT(error_of(ErrorKind::usage, [&] { checked(model); }),
             Catch::Contains("m.onnx: carries no pictures to be checked with; bsq export --format onnx "));
}

}  // namespace bsq::test
