// A trained network for other classes than its own: what begins anew and what does not, and what is refused.
#include "tests/support/pictures.h"
#include "tests/support/tensor_file.h"
#include "tests/support/workspace.h"

#include <algorithm>
#include <cmath>

using namespace bsq::test;

namespace {

bool are_close(const bsq::HostTensor& a, const bsq::HostTensor& b) {
  if (a.shape != b.shape) return false;
  const auto x = a.values<float>(), y = b.values<float>();
  return std::equal(x.begin(), x.end(), y.begin(), [](float u, float v) { return std::abs(u - v) < 1e-6F; });
}

Words on_pictures(const Words& more) {
  Words words = {"train",
                 "tiny.yaml",
                 "--run-dir",
                 "run",
                 "data.kind=image_folder",
                 "data.root=photos",
                 "data.batch_size=4",
                 "stages=[pretrain]",
                 "model.init=float"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST_CASE("a network of ten classes is trained on for two: its classifier begins anew, all else as it is") {
  const Workspace here;
  here.train("float", {"stages=[pretrain]"});
  put_pictures(here / "photos");
  const Outcome outcome = here.must(on_pictures(
      {"model.init_classifier=fresh", "pretrain.lr=1e-12", "pretrain.weight_decay=0", "pretrain.epochs=2"}));
  CHECK_THAT(outcome.err, Catch::Contains("float: fc begins anew, for 2 classes in the place of 10 "
                                          "(model.init_classifier: fresh)"));
  const bsq::TensorFile before = bsq::read_safetensors(here / "float/checkpoints/pretrain/model.safetensors");
  const bsq::TensorFile after = bsq::read_safetensors(here / "run/checkpoints/pretrain/model.safetensors");
  for (const bsq::HostTensor& tensor : before.tensors) {
    INFO(tensor.name);
    if (tensor.name == "fc.weight" || tensor.name == "fc.bias" || tensor.name.find("running") != std::string::npos ||
        tensor.name.find("num_batches") != std::string::npos)
      continue;
    CHECK(are_close(after.at(tensor.name), tensor));
  }
  CHECK(after.at("fc.weight").shape[0] == 2);
  CHECK(after.at("fc.bias").shape == std::vector<std::int64_t>{2});
  CHECK(after.metadata.at("class_names") == R"(["cat","dog"])");
  here.must({"verify", "run", "--epochs", "all"});
}

TEST_CASE("a fresh classifier for as many classes is another one, and its run is not compared with that model") {
  const Workspace here;
  here.train("float", {"stages=[pretrain]"});
  const auto train = [&](const std::string& run, const Words& more) {
    Words words = {"stages=[bsq]", "bsq.epochs=1", "bsq.alpha=0", "model.init=float"};
    words.insert(words.end(), more.begin(), more.end());
    here.train(run, words);
    return here.must({"report", run}).out;
  };
  CHECK_THAT(train("kept", {}), Catch::Contains("points against the float model"));
  CHECK_THAT(train("fresh", {"model.init_classifier=fresh"}), !Catch::Contains("points against the float model"));
  const auto scale_of = [&](const std::string& run) {
    return bsq::read_safetensors(here / run / "checkpoints/bsq/model.safetensors").at("fc.scale").values<float>()[0];
  };
  CHECK(scale_of("kept") != scale_of("fresh"));
}

TEST_CASE("a fresh classifier needs a model of float weights that is the configured network") {
  const Workspace here;
  here.train("float");  // and finetuned
  put_pictures(here / "photos");
  const std::string end = "1 error; nothing was written";
  check_error(here, on_pictures({}), 4,
              {"was trained for 10 classes, the data has 2; set model.init_classifier=fresh"});
  check_error(here, on_pictures({"model.init_classifier=fresh"}), 2,
              {"is quantized, and model.init_classifier: fresh replaces float weights"});
  check_error(here,
              on_pictures({"model.init_classifier=fresh", "model.init=float/checkpoints/pretrain", "model.width=4"}), 4,
              {"the configuration says"});
  check_errors(here, {"train", "tiny.yaml", "model.init_classifier=fresh"}, 2,
               {"override 1: model.init_classifier = fresh; without model.init there is no classifier to replace; set "
                "it, or leave this out",
                end});
  check_errors(here, {"train", "tiny.yaml", "model.init=float", "model.init_classifier=new"}, 2,
               {"override 2: model.init_classifier = new; must be one of keep, fresh", end});
}
