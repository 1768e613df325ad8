// The configurations in configs/ are planned as their users begin: with a dry run.
#include "tests/support/catch.h"
#include "tests/support/workspace.h"

#include <algorithm>

namespace bsq::test {
namespace {

/// Those of CIFAR-10, and the widest of CIFAR-100: the others have the same networks with a wider classifier.
std::vector<fs::path> recipes() {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(fs::path(BSQ_SOURCE_DIR) / "configs"))
    if (entry.path().string().ends_with("_cifar10.yaml") || entry.path().filename() == "wrn_28_10_cifar100.yaml")
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

// Small batches: the plan of a recipe itself needs up to 12 GiB.
const Words kSmall = {"--dry-run", "data.batch_size=2", "data.eval_batch_size=2"};

/// What a dry run prints of a configuration.
std::string plan_of(const Workspace& here, const std::string& config, const Words& more) {
  Words words = {"train", config};
  words.insert(words.end(), kSmall.begin(), kSmall.end());
  words.insert(words.end(), more.begin(), more.end());
  return here.must(words).out;
}

}  // namespace

TEST_CASE("each published recipe is planned by a dry run, takes a step, and says what memory it needs", "[slow]") {
  const Workspace here;
  const std::vector<fs::path> files = recipes();
  CHECK(files.size() >= 10);
  for (const fs::path& file : files) {
    INFO(file);
    const std::string plan = plan_of(here, file.string(), {"stages=[pretrain]"});
    CHECK_THAT(plan, Catch::StartsWith("data\n  training images                                  146.48 MiB\n"));
    CHECK_THAT(plan,
               Catch::Contains("\nstage pretrain: ") && Catch::Contains("  activations and gradients, training "));
    CHECK_THAT(plan, Catch::Contains("  one step: loss "));
    CHECK(plan.ends_with("\ndry run: nothing was written\n"));
  }
}

TEST_CASE("every family is planned through all stages by a dry run", "[slow]") {
  const Workspace here;
  for (const Words& family : std::vector<Words>{
           {"model.arch=resnet", "model.depth=20"},
           {"model.arch=preresnet", "model.depth=20"},
           {"model.arch=resnext", "model.depth=11", "model.cardinality=2"},
           {"model.arch=wrn", "model.depth=16", "model.widen_factor=2"},
           {"model.arch=densenet", "model.depth=22"},
           {"model.arch=alexnet"},
           {"model.arch=vgg", "model.depth=11"},
           {"model.arch=vgg_bn", "model.depth=11"},
           {"model.arch=torchvision_resnet", "model.depth=18"},
           {"model.arch=mobilenet_v2"},
       }) {
    INFO(family.front());
    put_text(here / "family.yaml", "data: {synthetic_train: 10, synthetic_test: 10}\n");
    const std::string plan = plan_of(here, "family.yaml", family);
    for (const char* stage : {"stage pretrain: ", "stage convert: ", "stage bsq: ", "stage finetune: "})
      CHECK_THAT(plan, Catch::Contains(stage));
  }
}

}  // namespace bsq::test
