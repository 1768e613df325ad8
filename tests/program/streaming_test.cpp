// A set of pictures that may not be kept in memory: read in every epoch, to the same bits.
#include "tests/support/pictures.h"
#include "tests/support/tensor_file.h"
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <csignal>

using namespace bsq::test;
using nlohmann::json;

namespace {

void put_photos(const fs::path& root) {
  unsigned seed = 1;
  for (const auto& [part, count] : {std::pair{"train", 9}, std::pair{"test", 4}})
    for (const char* name : {"cat", "dog"})
      for (int i = 0; i < count; ++i) {
        put_png(root / part / name / (std::to_string(i) + ".png"), seed, 16, 16);
        ++seed;
      }
}

const Words kPhotos = {"data.kind=image_folder", "data.root=photos", "data.batch_size=8", "data.eval_batch_size=4",
                       "quant.act_scale=calibrated"};
/// 26 pictures of 768 bytes take 20 kB.
const char* const kLittleMemory = "data.memory=1e-6";

Words of_photos(Words words, const Words& more = {}) {
  words.insert(words.end(), kPhotos.begin(), kPhotos.end());
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST_CASE("pictures that are read in every epoch give the bits of those that are kept, and the log says how they are") {
  const Workspace here;
  put_photos(here / "photos");
  const Outcome kept = here.train("kept", of_photos({}));
  CHECK_FALSE(contains(kept.err, "data.memory"));
  const Outcome streamed = here.train("streamed", of_photos({}, {kLittleMemory, "data.readers=3"}));
  CHECK_THAT(streamed.err,
             Catch::Contains("data: 18 training images would take ") &&
                 Catch::Contains("are for images (data.memory): read in every epoch, by 3 threads, into 0.0 MiB") &&
                 Catch::Contains("data: 8 test images would take "));
  const std::vector<json> expected = hashes_of(here / "kept");
  REQUIRE(expected.size() >= 10);
  CHECK(hashes_of(here / "streamed") == expected);
  const std::string test_alone = "data.memory=1e-5";  // 8 pictures, but not 26
  const Outcome mixed = here.train("mixed", of_photos({}, {test_alone}));
  CHECK_FALSE(contains(mixed.err, "test images would take"));
  CHECK(hashes_of(here / "mixed") == expected);

  const auto top1 = [](const std::string& text) { return text.substr(text.find("top-1"), 40); };
  CHECK(top1(here.must({"eval", "kept", kLittleMemory}).out) == top1(here.must({"eval", "kept"}).out));
  // Where the lists of the pictures are kept makes no difference, and may change on the way.
  here.train("listed", of_photos({}, {kLittleMemory, "data.cache=lists"}));
  CHECK(hashes_of(here / "listed") == expected);
  CHECK(std::distance(fs::directory_iterator(here / "lists"), fs::directory_iterator()) == 2);
  here.must({"train", "--resume", "listed", "data.cache="});
  here.must({"verify", "streamed"});
  // How much memory there is may change from one part of a run to the next.
  here.must({"train", "--resume", "streamed", "data.memory=1"});
}

TEST_CASE("a folder for lists of pictures that cannot be made is a warning, and no command stops for it") {
  const Workspace here;
  put_photos(here / "photos");
  const Words lists = {"data.cache=tiny.yaml/lists"};
  const auto check_warning = [](const Outcome& outcome) {
    CHECK_THAT(outcome.err, Catch::Contains("data.cache: tiny.yaml/lists: cannot create the folder: Not a directory") &&
                                Catch::Contains("; the set will be listed again next time\n"));
  };
  here.train("plain", of_photos({}));
  check_warning(here.train("run", of_photos({}, lists)));
  CHECK(hashes_of(here / "run") == hashes_of(here / "plain"));
  check_warning(here.must({"eval", "run"}));
  check_warning(here.must({"data", "tiny.yaml", "data.kind=image_folder", "data.root=photos", lists[0]}));
  here.must({"export", "run", "--format", "deployed", "--output", "d.safetensors"});
  here.must({"report", "run"});
  here.must({"verify", "run"});
}

TEST_CASE("a run that streams is killed, resumed, and comes to the bits of one that was not") {
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  const Workspace here;
  put_photos(here / "photos");
  here.train("whole", of_photos({}, {kLittleMemory}));
  const Words train = of_photos({"train", "tiny.yaml", "--run-dir", "run"}, {kLittleMemory});
  REQUIRE(signal_after("[T] bsq 2/3", SIGKILL, train, here.setup()).signal == SIGKILL);
  Words resume = train;
  resume.insert(resume.end(), {"--resume", "auto"});
  here.must(resume);
  check_same_run(here / "whole", here / "run");
}

TEST_CASE("a picture that goes bad while a run streams is named, and the run goes on once it is good again") {
  const Workspace here;
  put_photos(here / "photos");
  here.train("whole", of_photos({}, {kLittleMemory}));
  const fs::path picture = here / "photos/train/dog/3.png";
  const std::string good = text_of(picture);
  std::string bad = good;
  for (std::size_t i = bad.size() / 2; i < bad.size(); ++i) bad[i] = 'x';  // as long as it was
  put_text(picture, bad);
  check_error(here, {"train", "--fork", "whole@pretrain", "--run-dir", "run", kLittleMemory}, 3,
              {"photos/train/dog/3.png"});
  put_text(picture, good);
  here.must({"train", "--resume", "run"});
  CHECK(text_of(here / "run/checkpoints/finetune/model.safetensors") ==
        text_of(here / "whole/checkpoints/finetune/model.safetensors"));

  put_text(picture, good + "more");
  check_error(here, {"train", "--fork", "whole@pretrain", "--run-dir", "other", kLittleMemory}, 3,
              {"the training set has as many images, but other files"});
}

TEST_CASE("random parts of pictures are drawn by image and epoch: the same bits for all threads, and after a resume") {
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  const Workspace here;
  put_photos(here / "photos");
  const Words parts = {"data.image_size=12", "data.crop=random_resized", "data.crop_area=0.3"};
  Words one = of_photos({}, parts), three = one;
  one.emplace_back("data.readers=1");
  three.emplace_back("data.readers=3");
  here.train("one", one);
  here.train("three", three);
  CHECK(hashes_of(here / "three") == hashes_of(here / "one"));
  here.train("middle", of_photos({}, {"data.image_size=12", "data.crop_padding=0"}));
  CHECK(hashes_of(here / "middle") != hashes_of(here / "one"));
  CHECK_THAT(text_of(here / "one/config.yaml"),
             Catch::Contains("crop_area: 0.3") && !Catch::Contains("\n  crop_padding:"));

  Words train = {"train", "tiny.yaml", "--run-dir", "run"};
  train.insert(train.end(), one.begin(), one.end());
  REQUIRE(signal_after("[T] bsq 1/3", SIGKILL, train, here.setup()).signal == SIGKILL);
  train.insert(train.end(), {"--resume", "auto"});
  here.must(train);
  check_same_run(here / "one", here / "run");
  here.must({"verify", "run"});

  check_errors(
      here, {"validate", "tiny.yaml", "data.crop=random_resized"}, 2,
      {"override 1: data.crop = random_resized; needs data.kind = image_folder or webdataset and data.image_size, "
       "what a part of a picture is resized to",
       "1 error; nothing was written"});
}
