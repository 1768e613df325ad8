// Training pictures that are augmented on the host: whoever reads them, and however often a run is interrupted.
#include "tests/support/pictures.h"
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <csignal>

using namespace bsq::test;
using nlohmann::json;

namespace {

const Words kAugmentations = {"data.policy=rand_augment", "data.color_jitter=[0.4,0.4,0.4,0.1]",
                              "data.random_erasing=0.5"};

}  // namespace

TEST_CASE("augmented pictures of a set without files have the bits of their keys, for all threads and after a resume") {
  const Workspace here;
  Words one = kAugmentations, three = kAugmentations;
  one.emplace_back("data.readers=1");
  three.emplace_back("data.readers=3");
  const Outcome outcome = here.train("one", one);
  CHECK_THAT(outcome.err, Catch::Contains("data: 48 training images are augmented as they are read: read in every "
                                          "epoch, by 1 thread, into ") &&
                              !Catch::Contains("test images are"));
  here.train("three", three);
  const std::vector<json> expected = hashes_of(here / "one");
  REQUIRE(expected.size() >= 6);
  CHECK(hashes_of(here / "three") == expected);
  CHECK_THAT(text_of(here / "one/config.yaml"), Catch::Contains("rand_augment_magnitude: 9"));
  here.train("plain");
  CHECK_FALSE(contains(text_of(here / "plain/config.yaml"), "rand_augment_magnitude"));
  CHECK(hashes_of(here / "plain") != expected);
  for (const std::string& augmentation : kAugmentations) {
    here.train("single", {augmentation, "stages=[pretrain]", "pretrain.epochs=1", "checkpoint.every_epochs=1"});
    here.train("none", {"stages=[pretrain]", "pretrain.epochs=1", "checkpoint.every_epochs=1"});
    INFO(augmentation);
    CHECK(hashes_of(here / "single") != hashes_of(here / "none"));
    fs::remove_all(here / "single");
    fs::remove_all(here / "none");
  }
  here.must({"verify", "one"});

  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  Words train = {"train", "tiny.yaml", "--run-dir", "run"};
  train.insert(train.end(), one.begin(), one.end());
  REQUIRE(signal_after("[T] bsq 1/3", SIGKILL, train, here.setup()).signal == SIGKILL);
  train.insert(train.end(), {"--resume", "auto"});
  here.must(train);
  check_same_run(here / "one", here / "run");
  check_error(here, {"train", "--resume", "run", "data.random_erasing=0.25"}, 4,
              {"data.random_erasing 0.5 in the run, 0.25 now"});
}

TEST_CASE("a plan of augmented training is made without files, and what no run can do is refused before it") {
  const Workspace here;
  Words plan = {"train", "tiny.yaml", "--dry-run", "data.kind=cifar10"};
  plan.insert(plan.end(), kAugmentations.begin(), kAugmentations.end());
  here.must(plan);
  check_errors(here, {"train", "tiny.yaml", "data.color_jitter=[0,0,0,0.7]"}, 2,
               {"override 1: data.color_jitter = [0, 0, 0, 0.7]; the last number, of the hue, must be at most 0.5",
                "1 error; nothing was written"});
}

TEST_CASE("a page of data shows training pictures as augmentations leave them") {
  const Workspace here;
  for (const char* part : {"train", "test"})
    for (const char* name : {"cat", "dog"})
      for (unsigned i = 0; i < 3; ++i)
        put_png(here / "p" / part / name / (std::to_string(i) + ".png"), i + 1 + (name[0] == 'c' ? 10U : 0U), 12, 12);
  const Words survey = {"data", "data.kind=image_folder", "data.root=p", "data.crop_padding=0", "data.flip=false"};
  const auto pictures_of = [&](const char* page, const Words& more) {
    Words words = survey;
    words.insert(words.end(), {"--out", page});
    words.insert(words.end(), more.begin(), more.end());
    here.must(words);
    return text_of(here / page / "pictures.svg");
  };
  const std::string plain = pictures_of("plain", {}), augmented = pictures_of("augmented", kAugmentations);
  CHECK(plain != augmented);
  CHECK(pictures_of("again", kAugmentations) == augmented);
}
