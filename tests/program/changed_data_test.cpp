// A run goes on with the images that it began with, or says so.
#include "tests/support/pictures.h"
#include "tests/support/workspace.h"

using namespace bsq::test;

namespace {

const Words kPictures = {
    "train",     "tiny.yaml", "data.kind=image_folder", "data.root=pictures", "data.batch_size=4", "stages=[pretrain]",
    "--run-dir", "run"};

/// A run that looks as if it had been killed after its first epoch's checkpoint.
void put_interrupted_run(const Workspace& here) {
  put_pictures(here / "pictures");
  Words words = kPictures;
  words.emplace_back("checkpoint.keep_last=9");
  here.must(words);
  fs::remove(here / "run/checkpoints/last");
  fs::create_directory_symlink("epoch_0001", here / "run/checkpoints/last");
  edit_text(here / "run/status.json", "done", "interrupted");
}

}  // namespace

TEST_CASE("a run does not go on where pictures were added, removed, moved or painted over, unless asked to") {
  const Workspace here;
  put_interrupted_run(here);
  const fs::path train = here / "pictures/train", test = here / "pictures/test";
  const std::string status = text_of(here / "run/status.json");
  const auto refused = [&](const std::string& change) {
    check_errors(here, {"train", "--resume", "run", "-q"}, 3,
                 {"pictures: not what the run was trained with: " + change +
                  "; bring the old images back, start a new run, or go on with these by --other-data"});
    CHECK(text_of(here / "run/status.json") == status);
  };
  const std::string other = " set has as many images, but other pixels, labels, classes or another order";

  fs::copy_file(train / "cat/0.png", train / "cat/9.png");
  refused("the training set has 9 images, and had 8");
  fs::rename(train / "cat/9.png", here / "away.png");
  fs::rename(train / "cat/3.png", train / "dog/3b.png");
  refused("the training" + other);
  fs::rename(train / "dog/3b.png", train / "cat/3.png");
  put_png(test / "dog/1.png", 1000);
  refused("the test" + other);
  fs::remove(test / "dog/1.png");
  refused("the test set has 3 images, and had 4");

  const Outcome asked = here.must({"train", "--resume", "run", "--other-data"});
  CHECK_THAT(asked.err, Catch::Contains("warning: pictures: the run goes on with other images: the test set has 3 "
                                        "images, and had 4\n"));
  CHECK(status_of(here / "run") == "done 0");
  // From then on these are its images.
  edit_text(here / "run/status.json", "done", "interrupted");
  CHECK_FALSE(contains(here.must({"train", "--resume", "run"}).err, "other images"));
}

TEST_CASE("a run does not go on with other images after a stage") {
  const Workspace here;
  put_pictures(here / "pictures");
  Words words = kPictures;
  words.emplace_back("stages=[pretrain,convert]");
  here.must(words);
  REQUIRE(json_of(here / "run/checkpoints/last/state.json").at("stage") == "convert");
  edit_text(here / "run/status.json", "done", "interrupted");
  fs::remove(here / "pictures/train/cat/0.png");
  check_error(here, {"train", "--resume", "run", "-q"}, 3, {"the training set has 7 images, and had 8"});
}

TEST_CASE("the same pictures elsewhere and under other names are the same images") {
  const Workspace here;
  put_interrupted_run(here);
  fs::rename(here / "pictures", here / "moved");
  fs::rename(here / "moved/train/cat/3.png", here / "moved/train/cat/4.png");
  here.must({"train", "--resume", "run", "data.root=moved"});
  CHECK(status_of(here / "run") == "done 0");
}

TEST_CASE("a run of a version that kept no fingerprint goes on") {
  const Workspace here;
  put_interrupted_run(here);
  edit_text(here / "run/checkpoints/epoch_0001/state.json", "\"data\"", "\"more\"");  // of the same size
  fs::copy_file(here / "pictures/train/cat/0.png", here / "pictures/train/cat/9.png");
  here.must({"train", "--resume", "run"});
}

TEST_CASE("option --other-data is for runs that go on") {
  const Workspace here;
  check_errors(here, {"train", "tiny.yaml", "--other-data"}, 2,
               {"--other-data: for runs that go on; use it with --resume or --fork"});
}
