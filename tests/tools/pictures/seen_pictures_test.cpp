// Images as the network sees them: those of evaluation are the pixels themselves, those of training are cropped and
// turned as training does it.
#include "tools/pictures/seen_pictures.h"

#include "engine/base/base64.h"
#include "engine/input/sampler.h"
#include "engine/training/experiment.h"
#include "kernels/random.h"
#include "tests/support/config.h"
#include "tests/support/engine.h"
#include "tools/pictures/picture_figure.h"

namespace bsq::test {
namespace {

Config picture_config() {
  Config config = default_config();
  config.data.crop_padding = 2;
  config.stages = {"convert", "bsq"};
  return config;
}

/// The picture, moved and turned by hand; zeros beside it.
Picture cropped(const Picture& from, int height, int width, int padding, const CropFlip& crop) {
  Picture result(from.size());
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c) {
        const int row = y + crop.top - padding, column = (crop.flip ? width - 1 - x : x) + crop.left - padding;
        const bool is_inside = row >= 0 && row < height && column >= 0 && column < width;
        result[static_cast<std::size_t>((y * width + x) * 3 + c)] =
            is_inside ? from[static_cast<std::size_t>((row * width + column) * 3 + c)] : std::uint8_t{0};
      }
  return result;
}

}  // namespace

TEST_CASE("evaluation sees the pixels of images, training those of its epochs, with crops and flips of its keys") {
  const auto oracle = make_reference_backend();
  const ImageSet set = tiny_pictures("seen", 40);
  const Config config = picture_config();
  const SeenPictures seen = see_pictures(set, config, {.per_class = 2, .classes = 9, .epochs = 3}, *oracle);
  CHECK(seen.stage == "bsq");  // convert does not train
  REQUIRE(seen.images.size() == static_cast<std::size_t>(2 * set.info().num_classes()));
  const std::vector<std::int32_t> order = epoch_order(set.size(), {.seed = config.seed, .stage = 1, .epoch = 0});
  std::size_t next = 0;
  for (int label = 0; label < set.info().num_classes(); ++label) {
    int found = 0;
    for (const std::int32_t number : order) {
      if (set.label(number) != label || found == 2) continue;
      ++found;
      const SeenImage& image = seen.images[next++];
      CHECK(image.name == set.name(number));
      CHECK(image.class_name == set.info().class_names[static_cast<std::size_t>(label)]);
      Picture pixels(set.info().image_bytes());
      set.read(number, pixels);
      CHECK(image.evaluated == pixels);
      REQUIRE(image.trained.size() == 3);
      for (int epoch = 0; epoch < 3; ++epoch)
        CHECK(image.trained[static_cast<std::size_t>(epoch)] ==
              cropped(pixels, seen.height, seen.width, 2,
                      draw_crop_flip(config.seed, augment_stream(1), epoch, number, 2, true)));
    }
  }
}

TEST_CASE("training sees what augmentations on the host make of an image, then cropped and turned") {
  const auto oracle = make_reference_backend();
  Config config = picture_config();
  config.part<PolicyConfig>().policy = "rand_augment";
  config.part<RandomErasingConfig>().random_erasing = 0.5;
  const ImageSet plain = tiny_pictures("seen", 40);
  const auto set = with_augmentations(std::make_unique<ImageSet>(plain), config);
  const SeenPictures seen = see_pictures(*set, config, {.per_class = 1, .classes = 4, .epochs = 2}, *oracle);
  REQUIRE_FALSE(seen.images.empty());
  int changed = 0;
  for (const SeenImage& image : seen.images) {
    std::int32_t number = 0;
    while (set->name(number) != image.name) ++number;
    Picture pixels(set->info().image_bytes());
    plain.read(number, pixels);
    CHECK(image.evaluated == pixels);
    for (int epoch = 0; epoch < 2; ++epoch) {
      Picture augmented(pixels.size());
      set->read_augmented(number, {config.seed, augment_stream(1), epoch}, augmented);
      if (augmented != pixels) ++changed;
      CHECK(image.trained[static_cast<std::size_t>(epoch)] ==
            cropped(augmented, seen.height, seen.width, 2,
                    draw_crop_flip(config.seed, augment_stream(1), epoch, number, 2, true)));
    }
  }
  CHECK(changed > 0);
}

TEST_CASE("of many classes some are shown, at equal distances, and without crops and flips all epochs are the same") {
  const auto oracle = make_reference_backend();
  const ImageSet set = tiny_pictures("seen", 40);
  Config config = picture_config();
  config.data.crop_padding = 0;
  config.data.flip = false;
  const SeenPictures seen = see_pictures(set, config, {.per_class = 1, .classes = 2, .epochs = 2}, *oracle);
  REQUIRE(seen.images.size() == 2);
  CHECK(seen.images[0].class_name == set.info().class_names[0]);
  CHECK(seen.images[1].class_name == set.info().class_names[static_cast<std::size_t>(set.info().num_classes() / 2)]);
  for (const SeenImage& image : seen.images)
    for (const Picture& picture : image.trained) CHECK(picture == image.evaluated);
}

TEST_CASE("the figure has every picture as a PNG, with its class and file") {
  SeenPictures seen{.height = 2, .width = 3, .stage = "pretrain"};
  const Picture picture = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};
  seen.images.push_back({.name = "a<b>.png", .class_name = "cat & co", .evaluated = picture, .trained = {picture}});
  const std::string svg = picture_figure(seen).file();
  const std::string begin = "href=\"data:image/png;base64,";
  std::size_t count = 0;
  for (std::size_t at = svg.find(begin); at != std::string::npos; at = svg.find(begin, at + 1)) {
    ++count;
    const std::size_t from = at + begin.size();
    const auto file = from_base64(svg.substr(from, svg.find('"', from) - from));
    REQUIRE(file);
    CHECK(file->at(1) == 'P');
  }
  CHECK(count == 2);
  CHECK(svg.find("cat &amp; co, a&lt;b&gt;.png") != std::string::npos);
}

TEST_CASE("large pictures are shown in fewer pixels, the means of theirs") {
  SeenPictures seen{.height = 320, .width = 482, .stage = "pretrain"};
  Picture picture(320 * 482 * 3);
  for (std::size_t i = 0; i < picture.size(); ++i) picture[i] = static_cast<std::uint8_t>(i / 3 % 482 % 3 * 30);
  seen.images.push_back({.name = "a.png", .class_name = "a", .evaluated = picture});
  const std::string svg = picture_figure(seen).file();
  const std::string begin = "href=\"data:image/png;base64,";
  const std::size_t from = svg.find(begin) + begin.size();
  const auto file = from_base64(svg.substr(from, svg.find('"', from) - from));
  REQUIRE(file);
  const std::vector<std::uint8_t> sizes(file->begin() + 16, file->begin() + 24);  // in the header
  CHECK(sizes == std::vector<std::uint8_t>{0, 0, 0, 160, 0, 0, 0, 106});
  CHECK(svg.size() < 5000);  // every square has the same mean
}

}  // namespace bsq::test
