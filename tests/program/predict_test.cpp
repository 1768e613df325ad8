// `bsq predict` and `bsq check`: a deployed model on pictures, as a person uses it.
#include "tests/support/pictures.h"
#include "tests/support/program_tree.h"
#include "tests/support/tensor_file.h"
#include "tests/support/workspace.h"

#include <cstdlib>
#include <sstream>

using namespace bsq::test;

namespace {

using nlohmann::json;

/// Three pictures of noise.
void put_noise(const fs::path& folder, int side) {
  for (const unsigned seed : {1U, 2U, 3U}) put_png(folder / fmt::format("{}.png", seed), seed, side);
}

/// A deployed model of pictures of the synthetic set.
void put_model(const Workspace& here) {
  here.train("run", {"quant.act_scale=calibrated"});
  here.must({"export", "run", "--format=deployed", "--output=m.safetensors"});
}

}  // namespace

TEST_CASE("commands that want a model are told what a deployed one is for") {
  const Workspace here;
  put_model(here);
  for (const Words& command : {Words{"eval", "m.safetensors"}, Words{"convert", "m.safetensors", "x.safetensors"},
                               Words{"train", "tiny.yaml", "--run-dir=new", "model.init=m.safetensors"}})
    check_error(here, command, 4, {"m.safetensors: is a deployed model, integers for bsq predict and bsq check; give"});
}

TEST_CASE("predict says of pictures what eval counts, in every format") {
  const Workspace here;
  put_model(here);
  put_noise(here / "pictures", 32);
  const std::string text = here.must({"predict", "m.safetensors", "pictures"}).out;
  const std::string csv = here.must({"predict", "m.safetensors", "pictures", "--format=csv"}).out;
  const std::string lines = here.must({"predict", "m.safetensors", "pictures", "--format=jsonl", "--threads=3"}).out;
  CHECK_THAT(csv, Catch::StartsWith("file,class,name,probability\npictures/"));
  CHECK(std::count(text.begin(), text.end(), '\n') == std::count(lines.begin(), lines.end(), '\n'));
  std::istringstream records(lines);
  for (std::string line; std::getline(records, line);) {
    const json record = json::parse(line);
    const std::string file = record.at("file"), name = record.at("name");
    CHECK_THAT(text, Catch::Contains(file + "  " + name + "  "));
    CHECK_THAT(csv, Catch::Contains(fmt::format("\n{},{},{},", file, record.at("class").get<int>(), name)));
    const std::vector<float> logits = record.at("logits");
    CHECK(logits.size() == 10);
    CHECK(std::max_element(logits.begin(), logits.end()) - logits.begin() == record.at("class").get<int>());
  }
  // A model that is no such file is deployed on the way, by the data of its run.
  CHECK(here.must({"predict", "run", "pictures", "--format=jsonl"}).out == lines);
  CHECK(here.must({"predict", "m.safetensors", "pictures", "--format=jsonl", "--threads=1"}).out == lines);
}

TEST_CASE("predict refuses what it cannot say anything of") {
  const Workspace here;
  put_model(here);
  put_noise(here / "small", 16);
  fs::create_directories(here / "empty");
  check_error(here, {"predict"}, 2, {"bsq predict: which model?"});
  check_error(here, {"predict", "m.safetensors"}, 2, {"bsq predict: which pictures?"});
  check_error(here, {"predict", "m.safetensors", "gone.png"}, 3, {"'gone.png': no such picture"});
  check_error(here, {"predict", "m.safetensors", "empty"}, 3, {"empty: has no pictures ("});
  check_error(here, {"predict", "m.safetensors", "small"}, 3, {"16x16", "32x32"});
  here.train("free");
  put_noise(here / "pictures", 32);
  check_error(
      here, {"predict", "free", "pictures"}, 2,
      {"has no deployed form: its activations are scaled by the maximum of each batch; calibrate it: bsq train "});
  check_error(here, {"predict", "m.safetensors", "pictures", "--check"}, 3, {"is no class of the model ("});
}

TEST_CASE("check runs the pictures that a deployed model carries") {
  const Workspace here;
  put_model(here);
  CHECK_THAT(here.must({"check", "m.safetensors"}).out, Catch::Contains("m.safetensors: 8 pictures, every level of ") &&
                                                            Catch::Contains(" as where it was made\n"));
  bsq::TensorFile file = bsq::read_safetensors(here / "m.safetensors");
  for (bsq::HostTensor& tensor : file.tensors)
    if (tensor.name == "layer2.0.bn1.k") tensor.bytes[5] ^= std::byte{64};
  bsq::write_safetensors(here / "m.safetensors", file);
  check_error(here, {"check", "m.safetensors"}, 7,
              {"m.safetensors: computes something else here, from layer2.0.bn1 on"});
  check_error(here, {"check", "run/checkpoints/convert/model.safetensors"}, 2,
              {"is no deployed model; bsq export ", " --format deployed makes one"});
  const std::string whole = text_of(here / "m.safetensors");
  put_text(here / "cut.safetensors", whole.substr(0, whole.size() - 100));
  check_error(here, {"check", "cut.safetensors"}, 4, {"cut.safetensors"});
}

TEST_CASE("check of an ONNX file asks for a Python, and a deployed model needs none") {
  const Workspace here;
  put_model(here);
  check_error(here, {"check", "m.safetensors", "--runtime=onnxruntime"}, 2,
              {"--runtime onnxruntime: is for ONNX files; m.safetensors runs here"});
  check_error(here, {"check", "gone.onnx"}, 4, {"gone.onnx: cannot open"});
  if (here.run({"export", "run", "--format=onnx", "--output=m.onnx"}).exit_code != 0) return;  // built without ONNX
  Setup setup = here.setup();
  setup.environment["BSQ_PYTHON"] = "/nowhere/python";
  const Outcome outcome = run({"check", "m.onnx"}, setup);
  CHECK(outcome.exit_code == 5);
  CHECK_THAT(outcome.err, Catch::Contains("error: /nowhere/python: no such program; BSQ_PYTHON names a Python that has "
                                          "onnxruntime"));
}

TEST_CASE("a program of others runs a deployed model by the library") {
  const Workspace here;
  put_model(here);
  const std::string root = BSQ_SOURCE_DIR, folder = root + "/engine/deployed/library";
  const fs::path library = fs::path(BSQ_PROGRAM).parent_path().parent_path() / "lib";
  const auto run = [&](const std::string& command) {
    const std::string all = "cd '" + here.path().string() + "' && " + command + " >out 2>err </dev/null";
    return std::system(all.c_str()) == 0;
  };
  // A sanitized library needs a sanitized program.
  const bool is_sanitized = run("grep -q __asan_init '" + library.string() + "/libbsq_predict.so'");
  const std::string sanitizer = is_sanitized ? "-fsanitize=address " : "";
  const std::string flags = sanitizer + "-std=c99 -Wall -Wextra -Werror -pedantic -I'" + folder + "'";
  REQUIRE(run("cc " + flags + " '" + folder + "/example.c' -L'" + library.string() + "' -lbsq_predict -Wl,-rpath,'" +
              library.string() + "' -o example"));
  std::string raw;
  for (int i = 0; i < 32 * 32 * 3; ++i) raw += static_cast<char>(i * 37 % 251);
  put_text(here / "raw", raw);
  REQUIRE(run("./example m.safetensors raw"));
  const std::string said = text_of(here / "out");
  CHECK_THAT(said, Catch::StartsWith("raw  ") && Catch::EndsWith("\n"));
  put_text(here / "short", raw.substr(5));
  CHECK_FALSE(run("./example m.safetensors short"));
  CHECK(text_of(here / "err") == "short: has no 32 x 32 pixels\n");
  CHECK_FALSE(run("./example gone.safetensors raw"));
  CHECK_THAT(text_of(here / "err"), Catch::Contains("gone.safetensors"));
}
