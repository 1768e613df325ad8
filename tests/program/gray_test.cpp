// Gray pictures (data.channels: 1): one channel from the file to the exported model.
#include "tests/support/emulated_gpu.h"
#include "tests/support/pictures.h"
#include "tests/support/tensor_file.h"
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <fmt/format.h>

#include <csignal>

using namespace bsq::test;
using nlohmann::json;

namespace {

/// The same noise in colours and, in another folder, in files of one channel.
void put_both(const Workspace& here) {
  unsigned seed = 1;
  for (const auto& [part, count] : {std::pair{"train", 9}, std::pair{"test", 4}})
    for (const char* name : {"cat", "dog"})
      for (int i = 0; i < count; ++i) {
        const fs::path file = fs::path(part) / name / (std::to_string(i) + ".png");
        put_png(here / "photos" / file, seed, 18 + i, 16);
        put_gray_png(here / "scans" / file, seed, 18 + i, 16);
        ++seed;
      }
}

Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const Words kGray = {"data.channels=1", "data.mean=[0.45]", "data.std=[0.3]"};

Words gray_of(const std::string& root, const Words& more = {}) {
  return with(with({"data.kind=image_folder", "data.root=" + root, "data.image_size=16", "data.batch_size=8",
                    "data.eval_batch_size=4", "quant.act_scale=calibrated"},
                   kGray),
              more);
}

const Words kAugmented = {"data.crop=random_resized", "data.policy=rand_augment", "data.color_jitter=[0.4,0.4,0.4,0.1]",
                          "data.random_erasing=0.5",  "data.mixup=0.2",           "data.cutmix=1"};

}  // namespace

TEST_CASE("coloured and gray files of the same pictures train gray networks to the same bits, kept or streamed") {
  const Workspace here;
  put_both(here);
  here.train("gray", gray_of("scans"));
  const std::vector<json> expected = hashes_of(here / "gray");
  REQUIRE(expected.size() >= 10);
  here.train("coloured", gray_of("photos"));
  CHECK(hashes_of(here / "coloured") == expected);
  here.train("streamed", gray_of("photos", {"data.memory=1e-6", "data.readers=3"}));
  CHECK(hashes_of(here / "streamed") == expected);
  const bsq::TensorFile model = bsq::read_safetensors(here / "gray/checkpoints/pretrain/model.safetensors");
  CHECK(model.at("conv1.weight").shape == std::vector<std::int64_t>{2, 1, 3, 3});
  CHECK(model.metadata.at("mean") == "[0.45]");
  CHECK_THAT(text_of(here / "gray/config.yaml"), Catch::Contains("\n  channels: 1 "));
  here.must({"verify", "streamed"});
  here.train("colours", {"data.kind=image_folder", "data.root=photos", "data.image_size=16", "data.batch_size=8",
                         "data.eval_batch_size=4", "quant.act_scale=calibrated"});
  CHECK(hashes_of(here / "colours") != expected);
  CHECK_FALSE(contains(text_of(here / "colours/config.yaml"), "channels:"));

  here.train("augmented", gray_of("scans", kAugmented));
  here.train("augmented_colours", gray_of("photos", with(kAugmented, {"data.memory=1e-6", "data.readers=2"})));
  CHECK(hashes_of(here / "augmented_colours") == hashes_of(here / "augmented"));
  CHECK(hashes_of(here / "augmented") != expected);
}

TEST_CASE("a run on gray pictures is killed and resumed, and forked, to the bits of one that was not") {
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  const Workspace here;
  put_both(here);
  const Words more = gray_of("scans", kAugmented);
  here.train("whole", more);
  const Words train = with({"train", "tiny.yaml", "--run-dir", "run"}, more);
  for (const char* line : {"[T] pretrain 1/2", "[T] bsq 1/3", "[T] finetune 1/2"}) {
    INFO(line);
    fs::remove_all(here / "run");
    REQUIRE(signal_after(line, SIGKILL, train, here.setup()).signal == SIGKILL);
    here.must(with(train, {"--resume", "auto"}));
    check_same_run(here / "whole", here / "run");
  }
  here.must({"train", "--fork", "whole@pretrain", "--run-dir", "forked"});
  CHECK(text_of(here / "forked/checkpoints/finetune/model.safetensors") ==
        text_of(here / "whole/checkpoints/finetune/model.safetensors"));
  const Outcome other =
      here.run({"train", "--resume", "run", "data.channels=3", "data.mean=[0,0,0]", "data.std=[1,1,1]"});
  CHECK(other.exit_code == 4);
  CHECK_THAT(other.err, Catch::Contains("data.channels 1 in the run, 3 now"));
}

TEST_CASE("a model of gray pictures is evaluated and exported in every form, and classifies coloured files as well") {
  const Workspace here;
  put_both(here);
  here.train("run", gray_of("scans"));
  fs::copy_file(here / "run/checkpoints/finetune_best/model.safetensors", here / "alone.safetensors");
  const auto accuracy = [](const std::string& text) { return text.substr(text.find("top-1"), 30); };
  const std::string of_run = accuracy(here.must({"eval", "run/checkpoints/finetune_best"}).out);
  // The file says its channels itself.
  CHECK(accuracy(
            here.must({"eval", "alone.safetensors", "data.kind=image_folder", "data.root=photos", "threads=1"}).out) ==
        of_run);
  here.must({"eval", "run", "--as", "deployed"});

  here.must({"export", "run", "--format=deployed", "--output=m.safetensors"});
  CHECK_THAT(here.must({"check", "m.safetensors"}).out, Catch::Contains("8 pictures, every level of "));
  const auto logits = [&](const std::string& model, const std::string& root) {
    std::vector<json> all;
    for (const std::string& line : lines_of(here.must({"predict", model, root, "--format=jsonl"}).out))
      all.push_back(json::parse(line).at("logits"));
    return all;
  };
  const std::vector<json> expected = logits("m.safetensors", "scans/test");
  REQUIRE(expected.size() == 8);
  CHECK(logits("m.safetensors", "photos/test") == expected);
  CHECK(logits("run", "photos/test") == expected);
  here.must({"predict", "m.safetensors", "photos/test", "--check"});

  for (const Words& form : std::vector<Words>{{"--format=float", "--output=float.safetensors"},
                                              {"--format=packed", "--output=packed.safetensors"},
                                              {"--format=onnx", "--output=m.onnx"},
                                              {"--format=qonnx", "--output=q.onnx"},
                                              {"--format=onnx", "--runtime=onnxruntime", "--output=r.onnx"},
                                              {"--format=onnx", "--runtime=openvino", "--output=o.onnx"},
                                              {"--format=onnx", "--runtime=tensorrt", "--output=t.onnx"},
                                              {"--format=c", "--output=model.c"}}) {
    INFO(form.front() << " " << form.back());
    const std::string out = here.must(with({"export", "run"}, form)).out;
    if (form.back().ends_with(".onnx")) CHECK_THAT(out, Catch::Contains("input [N, 1, 16, 16], normalised"));
    if (form.back().ends_with(".c"))
      CHECK_THAT(out, Catch::Contains("_predict reads bytes [16, 16, 1]; workspace of "));
  }
  for (const auto& [form, ending] : {std::pair{"float", "safetensors"}, {"packed", "safetensors"}, {"onnx", "onnx"}}) {
    INFO(form);  // without its data
    here.must({"export", "alone.safetensors", fmt::format("--format={}", form),
               fmt::format("--output=alone-{}.{}", form, ending)});
  }
  check_error(here, {"export", "alone.safetensors", "--format=deployed", "--output=d.safetensors"}, 2,
              {"images have 3 channels, data.mean and data.std 1 and 1 numbers; give images as in its training"});
  CHECK(accuracy(here.must({"eval", "packed.safetensors", "data.kind=image_folder", "data.root=scans"}).out) == of_run);
}

TEST_CASE("a configuration of gray pictures is told which mean and deviation make their bytes exact") {
  const Workspace here;
  const std::string exact = "data.mean=[0.50196078] data.std=[0.25098039]";
  CHECK_THAT(here.must(with({"validate", "tiny.yaml"}, gray_of("scans"))).out, Catch::Contains(exact));
  CHECK_FALSE(contains(
      here.must(with({"validate", "tiny.yaml"}, gray_of("scans", {"data.mean=[0.50196078]", "data.std=[0.25098039]"})))
          .out,
      "levels of one unit"));
}

TEST_CASE(
    "a file of gray filters that says nothing of itself is recognized, and its mean and deviation are asked for") {
  const Workspace here;
  put_both(here);
  here.train("run", gray_of("scans"));
  here.must({"export", "run/checkpoints/pretrain", "--format=float", "--output=f.safetensors"});
  bsq::TensorFile file = bsq::read_safetensors(here / "f.safetensors");
  file.metadata.clear();
  bsq::write_safetensors(here / "f.safetensors", file);
  const Words eval = {"eval",
                      "f.safetensors",
                      "data.kind=image_folder",
                      "data.root=scans",
                      "data.image_size=16",
                      "data.eval_batch_size=4"};
  check_error(here, eval, 2, {"f.safetensors: reads pictures of 1 channel, and does not say their mean and deviation"});
  here.must(with(eval, kGray));
}

TEST_CASE("gray pictures on an emulated GPU come to what they come to on the CPU", "[slow]") {
  if (EmulatedGpu::is_missing()) return;
  const Workspace here;
  put_both(here);
  const EmulatedGpu gpu;
  gpu.run(here, with({"train", "tiny.yaml", "--run-dir", "gpu", "device=cuda"}, gray_of("scans", kAugmented)), 0);
  here.train("cpu", gray_of("scans", with(kAugmented, {"device=cpu"})));
  check_similar_epochs(here / "cpu", here / "gpu");
}

TEST_CASE("gray pictures that cannot be meant are refused before anything is trained or written") {
  const Workspace here;
  put_both(here);
  const Words photos = {"data.kind=image_folder", "data.root=photos", "data.image_size=16"};
  const auto refused = [&](const Words& words, const std::string& error) {
    check_errors(here, with(with({"train", "tiny.yaml"}, photos), words), 2, {error, "1 error; nothing was written"});
  };
  const Words normalised = {"data.mean=[0.5]", "data.std=[0.3]"};
  refused({"data.channels=2", "data.mean=[0,0]", "data.std=[1,1]"},
          "override 4: data.channels = 2; must be 3, red, green and blue, or 1, gray");
  refused({"data.channels=1", "data.std=[0.3]"},
          "override 4: data.mean = [0.4914, 0.4822, 0.4465]; data.channels = 1 needs one number; bsq data CFG computes "
          "mean and deviation of the training images");
  refused({"data.std=[0.3]"},
          "override 4: data.std = [0.3]; data.channels = 3 needs a list of 3; bsq data CFG computes mean and deviation "
          "of the training images");
  check_errors(here, with({"train", "tiny.yaml", "data.channels=1"}, normalised), 2,
               {"override 1: data.channels = 1; needs data.kind = image_folder or webdataset: the images of synthetic "
                "have three channels",
                "1 error; nothing was written"});

  here.train("gray", gray_of("scans"));
  here.train("coloured", with(photos, {"data.batch_size=8", "data.eval_batch_size=4", "quant.act_scale=calibrated"}));
  const std::string gray = "gray/checkpoints/pretrain", coloured = "coloured/checkpoints/pretrain";
  const std::string other_gray = "reads gray pictures, the configuration has data.channels = 3; set data.channels to 1";
  const std::string other_coloured =
      "reads coloured pictures, the configuration has data.channels = 1; set data.channels to 3";
  const Words start = {"train", "tiny.yaml", "stages=[finetune]", "finetune.epochs=1", "data.batch_size=8"};
  check_error(here, with(with(start, photos), {"model.init=" + gray}), 4, {other_gray});
  check_error(here, with(start, gray_of("scans", {"model.init=" + coloured})), 4, {other_coloured});
  put_text(here / "colours.yaml", "data: {kind: image_folder, root: photos, image_size: 16}\n");
  put_text(here / "gray.yaml",
           "data: {kind: image_folder, root: photos, image_size: 16, channels: 1, mean: [0.5], std: [0.3]}\n");
  for (const std::string command : {"eval", "predict", "export"}) {
    INFO(command);
    Words last;
    if (command == "predict") last = {"photos/test"};
    if (command == "export") last = {"--format=onnx", "--output=m.onnx"};
    fs::copy_file(here / "gray/checkpoints/finetune/model.safetensors", here / "g.safetensors",
                  fs::copy_options::overwrite_existing);
    fs::copy_file(here / "coloured/checkpoints/finetune/model.safetensors", here / "c.safetensors",
                  fs::copy_options::overwrite_existing);
    check_error(here, with(with({command, "g.safetensors"}, last), {"--config=colours.yaml"}), 4, {other_gray});
    check_error(here, with(with({command, "c.safetensors"}, last), {"--config=gray.yaml"}), 4, {other_coloured});
  }
  check_error(here, with({"eval", "g.safetensors"}, {"data.kind=cifar10", "data.root=x"}), 4, {other_gray});

  put_text(here / "net.yaml",
           "image: [16, 16, 3]\nnodes:\n  - {name: conv1, layer: conv2d, out: 4, quantized: true}\n"
           "  - {name: pool, layer: average_pool}\n  - {name: fc, layer: linear, out: 2, quantized: true}\n");
  check_error(here, with({"train", "tiny.yaml"}, gray_of("scans", {"model.network=net.yaml"})), 2,
              {"net.yaml: image is 16x16 of 3 channels, the data have 16x16 of 1; change it, or leave it out"});
  edit_text(here / "net.yaml", "16, 3]", "16, 1]");
  here.must(with({"train", "tiny.yaml", "--dry-run"}, gray_of("scans", {"model.network=net.yaml"})));
}

TEST_CASE("data says the mean of gray pictures before any is set, and shows them") {
  const Workspace here;
  put_both(here);
  const Words survey = {"data", "data.kind=image_folder", "data.root=photos", "data.image_size=16", "data.channels=1"};
  const std::string text = here.must(survey).out;
  CHECK_THAT(text, Catch::Contains("images     16x16 pixels of gray\n") &&
                       Catch::Contains(" of the training images; data.mean is not set for so many channels\n"));
  const json found = json::parse(here.must(with(survey, {"--json"})).out);
  CHECK(found.at("channels") == 1);
  CHECK(found.at("train").at("mean").size() == 1);
  CHECK(found.at("train").at("mean").at(0).get<double>() == Approx(0.5).margin(0.03));
  const double deviation = found.at("train").at("deviation").at(0);
  CHECK(deviation < 0.25);  // colours of noise cancel out, and so do pixels that are resized
  CHECK(deviation > 0.1);
  here.must(with(survey, {"--out", "page", "data.random_erasing=1"}));
  CHECK_THAT(text_of(here / "page/index.html"), Catch::Contains("data:image/png"));
  CHECK_THAT(here.must(with(survey, {"data.mean=[0.25]", "data.std=[0.5]"})).out,
             Catch::Contains("data.mean is [0.2500]\n") && Catch::Contains("data.std is [0.5000]\n"));
}
