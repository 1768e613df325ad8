// A folder of pictures of many sizes: trained, evaluated, deployed and classified at one; what cannot be meant.
#include "tests/support/pictures.h"
#include "tests/support/tensor_file.h"
#include "tests/support/workspace.h"

using namespace bsq::test;
using nlohmann::json;

namespace {

/// train and test of two classes, each picture of a size of its own.
void put_sizes(const fs::path& root) {
  unsigned seed = 1;
  for (const auto& [part, count] : {std::pair{"train", 8}, std::pair{"test", 4}})
    for (const char* name : {"cat", "dog"})
      for (int i = 0; i < count; ++i) {
        put_png(root / part / name / (std::to_string(i) + ".png"), seed, 20 + 7 * i, 64 - 5 * i);
        ++seed;
      }
}

Words with_sizes(Words words) {
  words.insert(words.end(), {"data.kind=image_folder", "data.root=photos", "data.image_size=16", "data.batch_size=8",
                             "data.eval_batch_size=4", "quant.act_scale=calibrated"});
  return words;
}

}  // namespace

TEST_CASE("pictures of any size are trained at one, and a deployed model takes any of them") {
  const Workspace here;
  put_sizes(here / "photos");
  here.train("run", with_sizes({}));
  const bsq::TensorFile model = bsq::read_safetensors(here / "run/checkpoints/finetune_best/model.safetensors");
  CHECK(model.metadata.at("image_size") == "16");
  CHECK(model.metadata.at("resize") == "18");
  CHECK(model.metadata.at("interpolation") == "bilinear");
  const Words eval = {"eval", "run/checkpoints/finetune_best/model.safetensors"};
  const std::string of_run = here.must(eval).out;
  // The file says it itself.
  fs::copy_file(here / "run/checkpoints/finetune_best/model.safetensors", here / "alone.safetensors");
  const std::string alone =
      here.must({"eval", "alone.safetensors", "data.kind=image_folder", "data.root=photos", "threads=1"}).out;
  const auto accuracy = [](const std::string& text) { return text.substr(text.find("top-1"), 30); };
  CHECK(accuracy(alone) == accuracy(of_run));

  here.must({"export", "run", "--format=deployed", "--output=m.safetensors"});
  CHECK_THAT(here.must({"predict", "m.safetensors", "photos/test", "--check"}).out, Catch::Contains("cat"));
  CHECK(here.must({"predict", "m.safetensors", "photos/test", "--format=jsonl"}).out ==
        here.must({"predict", "run", "photos/test", "--format=jsonl"}).out);

  // Another size than the one that a model was trained for.
  put_png(here / "large.png", 7, 60, 40);
  check_error(
      here, {"predict", "run", "large.png", "data.image_size=24"}, 3,
      {"the images have 24x24 pixels in 3 channels, the network takes 16x16 in 3; give it images as in its training"});
  check_error(here, {"predict", "m.safetensors", "large.png", "data.image_size=16"}, 2,
              {"a deployed model says all that it needs; leave out data.image_size=16"});
  const bsq::TensorFile whole = bsq::read_safetensors(here / "m.safetensors");
  const auto damage = [&](const char* key, const char* value, const char* message) {
    bsq::TensorFile file = whole;
    file.metadata[key] = value;
    bsq::write_safetensors(here / "d.safetensors", file);
    check_error(here, {"predict", "d.safetensors", "large.png"}, 4, {"d.safetensors", message, "the file is damaged"});
  };
  damage("image_size", "x", "metadata 'image_size' is x");
  damage("image_size", "8", "the network takes 16x16 pixels, data.image_size is 8");
  damage("resize", "4", "says to resize pictures to 4 (bilinear) for 16");
  damage("interpolation", "nearest", "says to resize pictures to 18 (nearest) for 16");
  CHECK(here.run({"eval", "run/checkpoints/finetune_best/model.safetensors", "data.resize=8"}).exit_code == 2);
  bsq::TensorFile other = model;
  other.metadata["resize"] = "8";
  bsq::write_safetensors(here / "other.safetensors", other);
  check_error(here, {"eval", "other.safetensors", "data.kind=image_folder", "data.root=photos"}, 4,
              {"other.safetensors: says to resize pictures to 8 (bilinear) for 16; the file is damaged"});
  here.must({"eval", "other.safetensors", "data.kind=image_folder", "data.root=photos", "data.image_size=24"});

  here.train("cubic", with_sizes({"data.interpolation=bicubic", "data.resize=24"}));
  CHECK(text_of(here / "cubic/checkpoints/finetune/model.safetensors") !=
        text_of(here / "run/checkpoints/finetune/model.safetensors"));
  here.must({"verify", "run"});
}

TEST_CASE("a size of pictures that cannot be meant is refused before any of them is read") {
  const Workspace here;
  put_sizes(here / "photos");
  const auto refused = [&](const Words& words, const std::string& error) {
    Words all = {"train", "tiny.yaml", "data.kind=image_folder", "data.root=photos"};
    all.insert(all.end(), words.begin(), words.end());
    check_errors(here, all, 2, {error, "1 error; nothing was written"});
  };
  refused({"data.image_size=16", "data.resize=8"},
          "override 4: data.resize = 8; must be at least data.image_size = 16, which is cut out of it");
  refused({"data.resize=8"}, "override 3: data.resize = 8; needs data.image_size, what is cut out of it");
  refused({"data.image_size=16", "data.interpolation=nearest"},
          "override 4: data.interpolation = nearest; must be one of bilinear, bicubic");
  check_errors(
      here, {"train", "tiny.yaml", "data.image_size=16"}, 2,
      {"override 1: data.image_size = 16; the images of synthetic have their size; leave it out, or set it to 0",
       "1 error; nothing was written"});
  check_error(here, {"train", "tiny.yaml", "data.kind=image_folder", "data.root=photos"}, 3,
              {"all images must have one size, or set data.image_size"});
}
