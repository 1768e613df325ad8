// Model files that are cut, hostile, foreign or of another network: exit 4, with the file and the tensor.
#include "tests/support/tensor_file.h"
#include "tests/support/workspace.h"

#include <functional>
#include <utility>

using namespace bsq::test;
using bsq::HostTensor;
using bsq::TensorFile;

namespace {

/// A safetensors file of this header and so many bytes of data.
std::string file_of(const std::string& header, std::size_t data_bytes) {
  std::string text(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) text[i] = static_cast<char>((header.size() >> (8 * i)) & 0xff);
  return text + header + std::string(data_bytes, '\1');
}

/// All that reads models says the same of bad.safetensors.
void check_model_error(const Workspace& here, const std::vector<std::string>& parts) {
  check_error(here, {"eval", "bad.safetensors", "data.kind=synthetic"}, 4, parts);
  check_error(here, {"convert", "bad.safetensors", "out.safetensors"}, 4, parts);
  check_error(here, {"train", "tiny.yaml", "--run-dir", "new", "stages=[bsq]", "model.init=bad.safetensors"}, 4, parts);
  CHECK_FALSE(fs::exists(here / "new"));
  CHECK_FALSE(fs::exists(here / "out.safetensors"));
}

/// The float model of `run`, changed, as bad.safetensors.
void put_changed(const Workspace& here, const std::function<void(TensorFile&)>& change) {
  TensorFile file = bsq::read_safetensors(here / "run/checkpoints/pretrain/model.safetensors");
  change(file);
  bsq::write_safetensors(here / "bad.safetensors", file);
}

HostTensor& tensor(TensorFile& file, const std::string& name) {
  for (HostTensor& found : file.tensors)
    if (found.name == name) return found;
  FAIL("no tensor " << name);
  return file.tensors.front();
}

}  // namespace

TEST_CASE("a file that is cut, lies about its lengths or is no safetensors file") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  const std::string whole = text_of(here / "run/checkpoints/pretrain/model.safetensors");
  const std::string huge = "\xff\xff\xff\xff\xff\xff\xff\x7f";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {whole.substr(0, whole.size() - 1), "truncated"},
      {whole.substr(0, 100), "not a safetensors file or truncated"},
      {whole + "x", ""},
      {"", "0 bytes are too few for a header; not a safetensors file or truncated"},
      {huge + "{}", "header says 9.2e18 bytes, file has 10; not a safetensors file or truncated"},
      {file_of("{]", 0), "header is not JSON"},
      {file_of(std::string(100000, '['), 0), "not a safetensors file"},
      {file_of(R"({"a":)" + std::string(5000, '[') + std::string(5000, ']') + "}", 0), "header is nested too deeply"},
      {file_of(
           R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
           12),
       "'b'"},
      {file_of(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8), "tensor 'a'"},
      {file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,80]}})", 8), "tensor 'a'"},
      {file_of(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}})", 8),
       "tensor 'a': no tensor has the shape [4611686018427387904,4]; the file is corrupt"},
      {file_of(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8), "tensor 'a': no tensor has the shape"},
      {file_of(R"({"a":{"dtype":"F8_E5M2","shape":[2],"data_offsets":[0,4]}})", 4),
       "dtype F8_E5M2 is not supported; convert it"},
      {file_of(
           R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
           1),
       "header has 'a' twice"},
      {file_of(R"({"__metadata__":{"depth":8}})", 0), "__metadata__: 'depth' is not a string"},
      {file_of("{\"a\\u001b[2J\":1}", 0), "tensor 'a?[2J'"},  // no escape sequence reaches the terminal
  };
  for (const auto& [text, message] : cases) {
    put_text(here / "bad.safetensors", text);
    INFO(text.substr(0, 200));
    check_model_error(here, {"bad.safetensors: ", message});
    check_error(here, {"inspect", "bad.safetensors"}, 4, {"bad.safetensors: ", message});
  }
}

TEST_CASE("a model of another network, with tensors missing, too many or of another shape") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  put_changed(here, [](TensorFile& file) { tensor(file, "fc.bias").name = "head.bias"; });
  check_model_error(here,
                    {"bad.safetensors: not a checkpoint of this network; missing: fc.bias; unexpected: head.bias"});
  put_changed(here, [](TensorFile& file) { tensor(file, "layer2.0.conv1.weight").shape = {4, 2, 9, 1}; });
  check_model_error(here, {"bad.safetensors", "layer2.0.conv1.weight", "4, 2, 9, 1", "4, 2, 3, 3"});
  put_changed(here, [](TensorFile& file) { tensor(file, "bn1.running_var").shape = {1, 2}; });
  check_error(here, {"eval", "bad.safetensors", "data.kind=synthetic"}, 4, {"bad.safetensors", "bn1.running_var"});
  put_changed(here, [](TensorFile& file) { tensor(file, "conv1.weight").dtype = bsq::DType::i32; });
  check_model_error(here, {"conv1.weight"});
  put_text(here / "bad.safetensors", file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8));
  check_model_error(here, {"bad.safetensors: "});

  here.train("wide", {"stages=[pretrain]", "model.width=3"});
  check_error(
      here, {"train", "tiny.yaml", "--run-dir", "new", "stages=[bsq]", "model.init=wide"}, 4,
      {"wide/checkpoints/epoch_0003/model.safetensors: is resnet8 (depth 8, width 3), the configuration says resnet8 "
       "(depth 8, width 2); set model.depth=8 model.width=3 or take another checkpoint"});
  check_error(
      here, {"train", "tiny.yaml", "--run-dir", "new", "stages=[finetune]", "model.init=run"}, 2,
      {"is a float model and has no bit widths to finetune under; put a stage before finetune that finds them"});
  CHECK_FALSE(fs::exists(here / "new"));
}

TEST_CASE("names of other programs are understood, and it is said") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  put_changed(here, [](TensorFile& file) {
    for (HostTensor& found : file.tensors) {
      if (const auto at = found.name.find("downsample"); at != std::string::npos)
        found.name.replace(at, 10, "shortcut");
      if (found.name.starts_with("fc.")) found.name.replace(0, 2, "linear");
      found.name = "module." + found.name;
    }
    file.metadata.clear();
  });
  const Outcome outcome = here.must({"convert", "bad.safetensors", "out.safetensors"});
  CHECK_THAT(outcome.err, Catch::Contains(" tensors renamed (module."));
  here.must({"convert", "run", "own.safetensors"});
  CHECK(bsq::read_safetensors(here / "out.safetensors").at("fc.pweight").bytes ==
        bsq::read_safetensors(here / "own.safetensors").at("fc.pweight").bytes);
}

TEST_CASE("what is no checkpoint, or none yet") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  check_errors(here, {"eval", "gone"}, 4, {"gone: no such checkpoint; check the path"});
  check_errors(here, {"inspect", "tiny.yaml"}, 4,
               {"tiny.yaml: is not a checkpoint; give a checkpoint folder, a run directory or a .safetensors file"});
  fs::remove(here / "run/checkpoints/pretrain/DONE");
  check_errors(
      here, {"inspect", "run/checkpoints/pretrain"}, 4,
      {"run/checkpoints/pretrain: incomplete checkpoint (DONE or a file it lists is missing or cut short); use "
       "another one"});
  CHECK(here.run({"train", "tiny.yaml", "--run-dir", "nan", "pretrain.lr=1e30"}).exit_code == 6);
  check_errors(here, {"eval", "nan"}, 4,
               {"nan: the run has no finished checkpoint yet; wait for its first or start anew"});
  check_error(here, {"train", "tiny.yaml", "--run-dir", "new", "stages=[bsq]", "model.init=gone"}, 4,
              {"gone: no such checkpoint; check the path"});
  // Before the data: with both wrong, the model is named.
  check_error(here, {"train", "tiny.yaml", "stages=[bsq]", "model.init=gone", "data.kind=cifar10", "data.root=gone"}, 4,
              {"gone: no such checkpoint; check the path"});
}

TEST_CASE("metadata that makes no sense is refused, not believed") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"mean", "[0.5]"}, {"std", "\"wide\""}, {"eval_batch_size", "-3"}, {"act_bits", "99"}, {"activation", "gelu"}};
  for (const auto& [key, value] : cases) {
    INFO(key << " = " << value);
    put_changed(here, [&, key = key, value = value](TensorFile& file) { file.metadata[key] = value; });
    const Outcome outcome = here.run({"eval", "bad.safetensors", "data.kind=synthetic", "data.synthetic_test=20"});
    INFO(outcome.err);
    CHECK(outcome.exit_code == 4);
    CHECK_THAT(outcome.err, Catch::Contains("error: bad.safetensors: metadata "));
  }
}
