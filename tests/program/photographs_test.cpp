// The five commands of the guide, on a folder of photographs: from what a set is to labels for new pictures.
#include "tests/support/photographs.h"
#include "tests/support/tensor_file.h"
#include "tests/support/workspace.h"

#include <sstream>

using namespace bsq::test;
using nlohmann::json;

TEST_CASE("a folder of photographs becomes a deployed ResNet-18 that knows what is on them", "[slow]") {
  const Workspace here;
  put_photographs(here / "photos", 300, 60);
  const std::string source = BSQ_SOURCE_DIR;
  const std::string set =
      here.must({"data", "data.kind=image_folder", "data.root=photos", "data.image_size=48", "--json"}).out;
  CHECK(json::parse(set).at("train").at("images") == 1200);

  const Words train = {"train",
                       source + "/configs/photographs.yaml",
                       "data.root=photos",
                       "data.image_size=48",
                       "data.cache=lists",
                       "data.crop_decode=reduced",
                       "data.memory=1e-6",
                       "data.batch_size=32",
                       "precision=fp32",
                       "pretrain.epochs=3",
                       "pretrain.warmup_epochs=0",
                       "bsq.epochs=2",
                       "bsq.milestones=[1]",
                       "bsq.requant_interval=1",
                       "bsq.lr=0.01",
                       "finetune.epochs=1",
                       "--run-dir",
                       "run"};
  CHECK_THAT(here.must(train).err, Catch::Contains("read in every epoch"));
  here.must({"report", "run"});
  const json summary = json::parse(text_of(here / "run/report/summary.json"));
  constexpr double kLearned = 85;  // of chance 25; runs come to 95 and more
  CHECK(summary.at("float_top1") > kLearned);

  here.must({"export", "run", "--format=deployed", "--output=photos.safetensors"});
  std::istringstream labels(here.must({"predict", "photos.safetensors", "photos/val", "--format=jsonl"}).out);
  int pictures = 0, right = 0;
  for (std::string line; std::getline(labels, line); ++pictures) {
    const json record = json::parse(line);
    const std::string name = record.at("name");
    right += fs::path(record.at("file").get<std::string>()).parent_path().filename() == name ? 1 : 0;
  }
  CHECK(pictures == 240);
  CHECK(right > kLearned / 100 * pictures);
}
