// Tar archives of pictures, as a person trains on them: to the bits of the same pictures in folders.
#include "tests/support/pictures.h"
#include "tests/support/tar_archive.h"
#include "tests/support/workspace.h"

using namespace bsq::test;
using nlohmann::json;

namespace {

/// The same pictures in folders and, in their order, in archives of five files each.
void put_both(const Workspace& here) {
  unsigned seed = 1;
  for (const auto& [part, count] : {std::pair{"train", 9}, std::pair{"test", 4}}) {
    TarArchive archive;
    int files = 0, archives = 0;
    for (const std::string name : {"cat", "dog"})
      for (int i = 0; i < count; ++i) {
        const fs::path file = here / "photos" / part / name / (std::to_string(i) + ".png");
        put_png(file, seed++, 16, 16);
        archive.add(name + "/" + std::to_string(i) + ".png", text_of(file));
        archive.add(name + "/" + std::to_string(i) + ".cls", name);
        if (++files % 5 != 0) continue;
        archive.write(here / "shards" / part / (std::to_string(archives++) + ".tar"));
        archive = {};
      }
    if (!archive.bytes.empty()) archive.write(here / "shards" / part / (std::to_string(archives) + ".tar"));
  }
}

Words trained_on(const std::string& kind, const std::string& root, const Words& more = {}) {
  Words words = {"data.kind=" + kind, "data.root=" + root, "data.batch_size=8", "data.eval_batch_size=4"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST_CASE("a run on archives has the bits of a run on the same pictures in folders, kept or streamed") {
  const Workspace here;
  put_both(here);
  here.train("folders", trained_on("image_folder", "photos"));
  const std::vector<json> expected = hashes_of(here / "folders");
  CHECK_FALSE(expected.empty());
  here.train("kept", trained_on("webdataset", "shards"));
  CHECK(hashes_of(here / "kept") == expected);
  here.train("streamed", trained_on("webdataset", "shards", {"data.memory=1e-6", "data.readers=2"}));
  CHECK(hashes_of(here / "streamed") == expected);
  const auto top1 = [](const std::string& text) { return text.substr(text.find("top-1"), 40); };
  CHECK(top1(here.must({"eval", "kept"}).out) == top1(here.must({"eval", "folders"}).out));
  here.must({"verify", "streamed"});
  CHECK_THAT(here.must({"data", "data.kind=webdataset", "data.root=shards"}).out,
             Catch::Contains("cat") && Catch::Contains("18"));
}

TEST_CASE("pictures of archives are cropped and resized as those of folders") {
  const Workspace here;
  put_both(here);
  const Words cropped = {"data.image_size=12", "data.crop=random_resized", "data.crop_area=0.5"};
  here.train("folders", trained_on("image_folder", "photos", cropped));
  here.train("archives", trained_on("webdataset", "shards", cropped));
  CHECK(hashes_of(here / "archives") == hashes_of(here / "folders"));
}

TEST_CASE("archives that are missing or cut short are an error before anything is trained") {
  const Workspace here;
  check_error(here, {"train", "tiny.yaml", "data.kind=webdataset", "data.root=gone"}, 3, {"'gone': no such folder"});
  check_errors(
      here, {"train", "tiny.yaml", "data.kind=webdataset"}, 2,
      {"override 1: data.kind = webdataset needs data.root, the folder it lies in", "1 error; nothing was written"});
  put_both(here);
  fs::resize_file(here / "shards/train/1.tar", 2000);
  check_error(here, {"train", "tiny.yaml", "data.kind=webdataset", "data.root=shards", "--run-dir", "run"}, 3,
              {"shards/train/1.tar: at byte ", "it was cut short"});
  CHECK_FALSE(fs::exists(here / "run"));
}
