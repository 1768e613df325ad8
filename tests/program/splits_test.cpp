// Folders of splits by other names, and training pictures that cannot be read.
#include "tests/support/pictures.h"
#include "tests/support/workspace.h"

using namespace bsq::test;

namespace {

void put_split(const fs::path& folder, int count, unsigned seed) {
  for (const char* name : {"cat", "dog"})
    for (int i = 0; i < count; ++i) put_png(folder / name / (std::to_string(i) + ".png"), seed++, 16, 16);
}

Words photos(const Words& more, const std::string& kind = "image_folder") {
  Words words = {"data.kind=" + kind, "data.root=photos", "data.batch_size=8", "data.eval_batch_size=4",
                 "stages=[pretrain]"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST_CASE("splits are the folders that are named, and the report tells one test set from another") {
  const Workspace here;
  put_split(here / "photos/train", 6, 1);
  put_split(here / "photos/test", 3, 50);
  put_split(here / "photos/fold 1", 6, 1);
  put_split(here / "photos/held", 3, 50);
  here.train("usual", photos({}));
  here.train("named", photos({"data.train=fold 1", "data.test=held"}));
  CHECK(hashes_of(here / "named") == hashes_of(here / "usual"));
  here.must({"report", "named", "usual"});
  CHECK_THAT(text_of(here / "report/index.html"), Catch::Contains("photos (held)"));
  here.must({"eval", "named"});
  const auto refused = [&](const Words& words, const std::string& why) {
    check_error(here, with({"train", "tiny.yaml", "--run-dir", "run"}, photos(words)), 3, {why});
  };
  refused({"data.test=gone"}, "no folder 'gone'; expected gone/<class>/");
  refused({"data.train=gone"}, "where there are fold 1, held, test, train");
  refused({"data.test=train"}, "photos/train: is the folder of both splits, training and test");
  refused({"data.train=./test"}, "is the folder of both splits");
  check_errors(here, with({"train", "tiny.yaml"}, photos({"data.test=train", "data.train=train"})), 2,
               {"override 7: data.train and data.test are both train; accuracies on training images say nothing, "
                "data.holdout takes a part of them out of training",
                "1 error; nothing was written"});
}

TEST_CASE("a training picture that cannot be read is passed over where that is asked for, one of the test set never") {
  const Workspace here;
  put_split(here / "photos/train", 6, 1);
  put_split(here / "photos/test", 3, 50);
  put_split(here / "photos/other", 6, 1);
  put_text(here / "photos/train/cat/2.png", "broken");
  fs::copy_file(here / "photos/other/cat/3.png", here / "photos/other/cat/2.png", fs::copy_options::overwrite_existing);
  const Words skip = {"data.image_size=16", "data.on_error=skip"};
  CHECK_THAT(here.run(with({"train", "tiny.yaml", "--run-dir", "stops"}, photos({"data.image_size=16"}))).err,
             Catch::Contains("cat/2.png: no ") && Catch::Contains("file (6 bytes)"));
  const Outcome kept = here.train("kept", photos(skip));
  CHECK_THAT(kept.err, Catch::Contains("1 of 12 training images cannot be read") &&
                           Catch::Contains("(data.on_error: skip), such as") && Catch::Contains("cat/2.png"));
  here.train("streamed", photos(with(skip, {"data.memory=1e-6", "data.readers=3"})));
  here.train("mended", photos(with(skip, {"data.train=other"})));
  CHECK(hashes_of(here / "streamed") == hashes_of(here / "kept"));
  CHECK(hashes_of(here / "mended") == hashes_of(here / "kept"));
  here.must({"verify", "streamed"});
  put_text(here / "photos/test/dog/0.png", "broken");
  check_error(here, with({"train", "tiny.yaml", "--run-dir", "run"}, photos(skip)), 3, {"test/dog/0.png: no "});
  check_errors(here, with({"train", "tiny.yaml"}, photos({"data.on_error=skip"})), 2,
               {"override 6: data.on_error = skip; needs data.image_size, so that pictures of another size are no "
                "errors",
                "1 error; nothing was written"});
  check_errors(here, {"train", "tiny.yaml", "data.on_error=skip"}, 2,
               {"override 1: data.on_error = skip; needs data.kind = image_folder or webdataset",
                "1 error; nothing was written"});
  fs::copy_file(here / "photos/other/cat/3.png", here / "photos/test/dog/0.png", fs::copy_options::overwrite_existing);
  const Outcome survey = here.run(with({"data", "tiny.yaml"}, photos(skip)));
  CHECK(survey.exit_code == 3);
  CHECK_THAT(survey.err, Catch::Contains("cat/2.png: no ") && Catch::Contains("1 image cannot be read"));
  CHECK_FALSE(contains(survey.out, "has the pixels of an earlier one"));
  check_errors(here, {"train", "tiny.yaml", "data.train=x"}, 2,
               {"override 1: data.train = x; needs data.kind = image_folder or webdataset: the splits of synthetic are "
                "its own",
                "1 error; nothing was written"});
}
