// `bsq data`: counts, mean and deviation, duplicates, and every file that cannot be read.
#include "tests/support/pictures.h"
#include "tests/support/workspace.h"

using namespace bsq::test;
using nlohmann::json;

namespace {

const Words kSurvey = {"data", "data.kind=image_folder", "data.root=p"};

Words survey_with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST_CASE("data says what a set is, and which test images were trained on") {
  const Workspace here;
  put_pictures(here / "p", 4, 2);
  const std::string plain = here.must(kSurvey).out;
  CHECK_THAT(plain, Catch::Contains("class     train  test\n") && Catch::Contains("cat           4     2\n") &&
                        Catch::Contains("together      8     4\n") &&
                        Catch::Contains("images     8x8 pixels of red, green and blue\n") &&
                        Catch::Contains("data.mean is [0.4914, 0.4822, 0.4465]\n") && !Catch::Contains(" = "));

  fs::copy_file(here / "p/train/dog/1.png", here / "p/test/dog/0.png", fs::copy_options::overwrite_existing);
  fs::copy_file(here / "p/train/cat/0.png", here / "p/train/cat/3.png", fs::copy_options::overwrite_existing);
  CHECK_THAT(
      here.must(kSurvey).out,
      Catch::Contains("\n1 test image has the pixels of a training image, so that measured accuracies are too high:\n"
                      "  p/test/dog/0.png = p/train/dog/1.png\n") &&
          Catch::Contains("\n1 training image has the pixels of an earlier one:\n"
                          "  p/train/cat/3.png = p/train/cat/0.png\n"));
  const json found = json::parse(here.must(survey_with(kSurvey, {"--json", "threads=3"})).out);
  CHECK(found == json::parse(here.must(survey_with(kSurvey, {"--json", "threads=1"})).out));
  CHECK(found.at("train").at("classes") == json({{"cat", 4}, {"dog", 4}}));
  CHECK(found.at("test_in_train") == json::array({json::array({"p/test/dog/0.png", "p/train/dog/1.png"})}));
  // Noise of 0..255 has a mean of half and the deviation of an even distribution.
  CHECK(found.at("train").at("mean").at(0).get<double>() == Approx(0.5).margin(0.03));
  CHECK(found.at("train").at("deviation").at(2).get<double>() == Approx(0.289).margin(0.02));
  CHECK_THAT(here.must({"data", "tiny.yaml"}).out, Catch::Contains("together") && Catch::Contains("     48    20\n"));
}

TEST_CASE("data says how fast images are read, if it is asked to") {
  const Workspace here;
  put_pictures(here / "p", 4, 2);
  CHECK_THAT(here.must(kSurvey).out, !Catch::Contains("reading"));
  CHECK_THAT(here.must(survey_with(kSurvey, {"--speed"})).out,
             Catch::Matches("(.|\\n)*reading    [1-9][0-9]* training images a second by one thread, [1-9][0-9]* test "
                            "images\\n"));
  const json found = json::parse(here.must(survey_with(kSurvey, {"--json", "--speed"})).out);
  for (const char* set : {"train", "test"}) CHECK(found.at(set).at("images_per_second").get<double>() > 0);
  put_text(here / "p/train/cat/0.png", "no picture");
  const Outcome broken = here.run(survey_with(kSurvey, {"--speed"}));
  CHECK(broken.exit_code == 3);
  CHECK_FALSE(contains(broken.out, "reading"));
}

TEST_CASE("data names every image that cannot be read, not the first one alone") {
  const Workspace here;
  put_pictures(here / "p", 4, 2);
  put_text(here / "p/train/cat/0.png", "no picture");
  put_png(here / "p/test/dog/1.png", 1, 9);
  const Outcome outcome = here.run(kSurvey);
  CHECK(outcome.exit_code == 3);
  CHECK_THAT(outcome.out, Catch::Contains("together      8     4\n"));
  CHECK_THAT(outcome.err, Catch::Contains("error: p/train/cat/0.png: no ") &&
                              Catch::Contains("p/test/dog/1.png: 9x9 pixels, the first image has 8x8; all images must "
                                              "have one size, or set data.image_size\n") &&
                              Catch::Contains("2 images cannot be read"));
  CHECK(here.run(survey_with(kSurvey, {"data.image_size=8"})).err.find("1 image cannot be read") != std::string::npos);
  check_error(here, {"data", "p"}, 2,
              {"bsq data: p is a folder; ", "say: bsq data data.kind=image_folder data.root=p"});
  check_error(here, {"data"}, 2, {"bsq data: which data? usage: bsq data CFG [key=value ...]"});
  check_error(here, {"data", "data.kind=image_folder", "data.root=gone"}, 3, {"data.root 'gone': no such folder"});
}

TEST_CASE("data writes a page with pictures as the network sees them, and over no page of others") {
  const Workspace here;
  put_pictures(here / "p", 4, 2);
  const Outcome outcome = here.must(survey_with(kSurvey, {"--out", "page", "data.crop_padding=2"}));
  CHECK_THAT(outcome.err, Catch::Contains("page: page/index.html"));
  const std::string page = text_of(here / "page/index.html");
  std::size_t pictures = 0;
  for (std::size_t at = page.find("data:image/png"); at != std::string::npos; at = page.find("data:image/png", at + 1))
    ++pictures;
  CHECK(pictures == 2 * 2 * (1 + 5));  // two of each class: in evaluation and in five epochs
  CHECK_THAT(page, Catch::Contains("Images as the network sees them") && Catch::Contains("p/train/dog/") &&
                       Catch::Contains("training images"));
  CHECK(fs::exists(here / "page/pictures.svg"));
  put_text(here / "other/index.html", "<html>mine</html>");
  check_error(here, survey_with(kSurvey, {"--out", "other"}), 2, {"other/index.html: is not a report of bsq"});
  CHECK(text_of(here / "other/index.html") == "<html>mine</html>");
}
