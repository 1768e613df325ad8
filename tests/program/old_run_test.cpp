// A run that an older bsq has written, of before checkpoints said their network, and was killed in: every command takes
// it, and it goes on to the bits that the older bsq came to. It was made on the reference device: ResNet-8 of width 2,
// all stages, the second epoch of finetuning lost. tests/program/old_run/finetune.safetensors is what that came to.
#include "tests/support/program_tree.h"
#include "tests/support/tensor_file.h"
#include "tests/support/workspace.h"

#include <algorithm>

using namespace bsq::test;
using nlohmann::json;

namespace {

const fs::path kOld = fs::path(BSQ_SOURCE_DIR) / "tests/program/old_run";
const std::string kPlanes = "old/checkpoints/bsq";

struct OldRun : Workspace {
  OldRun() { fs::copy(kOld / "run", *this / "old", fs::copy_options::recursive | fs::copy_options::copy_symlinks); }
};

json json_from(const Workspace& here, Words words) {
  words.insert(words.end(), {"--json", "-q"});
  return json::parse(here.must(words).out);
}

/// What the older bsq wrote, as files are written now: a scale below zero has let its planes change places.
bsq::TensorFile expected_result() {
  bsq::TensorFile file = bsq::read_safetensors(kOld / "finetune.safetensors");
  const auto tensor = [&](const std::string& name) {
    return std::find_if(file.tensors.begin(), file.tensors.end(), [&](const auto& t) { return t.name == name; });
  };
  auto* scale = reinterpret_cast<float*>(tensor("fc.scale")->bytes.data());
  REQUIRE(*scale < 0);
  *scale = -*scale;
  std::swap(tensor("fc.pweight")->bytes, tensor("fc.nweight")->bytes);
  return file;
}

}  // namespace

TEST_CASE("an old run is evaluated, inspected and reported as it was then") {
  const OldRun here;
  const json fixed = json_from(here, {"eval", "old"});
  CHECK(fixed.at("form") == "fixed");
  CHECK(fixed.at("loss").get<double>() == Approx(2.3184758411693442));
  const json planes = json_from(here, {"eval", kPlanes});
  CHECK(planes.at("loss").get<double>() == Approx(2.3212454751053597));
  CHECK(planes.at("activation") == "pact");
  const json found = json::parse(here.must({"inspect", kPlanes, "--json"}).out);
  CHECK_FALSE(found.at("metadata").contains("network"));
  CHECK(found.at("precision").at("bits_per_parameter") == 3.0);
  CHECK_THAT(here.must({"inspect", "old", "--network"}).out, Catch::StartsWith("# resnet8 (depth 8, width 2)\n"));
  const Outcome report = here.must({"report", "old"});
  CHECK_THAT(report.out, Catch::Contains("resnet depth 8, width 2; data synthetic") && Catch::Contains("interrupted"));
  CHECK(fs::exists(here / "old/report/planes.svg"));
}

TEST_CASE("an old checkpoint is exported, converted and started from") {
  const OldRun here;
  const bool has_onnx = contains(here.must({"info"}).out, "\nonnx       protobuf ");
  for (const std::string format : {"float", "packed", "onnx", "qonnx"}) {
    INFO(format);
    const std::string output = format + (contains(format, "onnx") ? ".onnx" : ".safetensors");
    if (contains(format, "onnx") && !has_onnx) continue;
    CHECK_THAT(here.must({"export", kPlanes, "--format", format, "--output", output}).out,
               Catch::Contains("verified: read back"));
  }
  here.must({"convert", kPlanes, "f.safetensors", "--to", "float"});
  CHECK(text_of(here / "f.safetensors") == text_of(here / "float.safetensors"));
  here.must({"convert", "old/checkpoints/pretrain", "p.safetensors", "--scheme", "old"});
  here.must({"train", "tiny.yaml", "--run-dir", "new", "stages=[finetune]", "model.init=" + kPlanes});
  CHECK(json::parse(here.must({"inspect", "new", "--json"}).out).at("metadata").contains("network"));
}

TEST_CASE("an old run goes on to the bits that the older program came to") {
  if (!__builtin_cpu_supports("fma")) {
    WARN("SKIPPED: the C library rounds in another way on a CPU without FMA");
    return;
  }
  const OldRun here;
  here.must({"train", "--resume", "old"});
  CHECK(status_of(here / "old") == "done 0");
  const bsq::TensorFile expected = expected_result();
  const bsq::TensorFile found = bsq::read_safetensors(here / "old/checkpoints/finetune/model.safetensors");
  REQUIRE(found.tensors.size() == expected.tensors.size());
  for (const bsq::HostTensor& tensor : expected.tensors) {
    INFO(tensor.name);
    CHECK(found.at(tensor.name).shape == tensor.shape);
    CHECK(found.at(tensor.name).bytes == tensor.bytes);
  }
  std::map<std::string, std::string> metadata = found.metadata;
  CHECK(metadata.erase("network") == 1);
  CHECK(metadata == expected.metadata);
}
