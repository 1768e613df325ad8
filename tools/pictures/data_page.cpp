#include "tools/pictures/data_page.h"

#include "engine/base/text.h"
#include "tools/pictures/picture_figure.h"

#include <fmt/format.h>

namespace bsq {

Page data_page(const DataPageText& text, const DataSplits& splits, const SeenPictures& pictures) {
  const auto count = [](std::int64_t number) { return with_thousands(static_cast<std::uint64_t>(number)); };
  Page page{.title = text.title,
            .subtitle = "images of a configuration, before anything is trained on them",
            .notices = text.notices,
            .numbers = {{"training images", count(splits.train->size())},
                        {"test images", count(splits.test->size())},
                        {"classes", count(splits.train->info().num_classes())},
                        {"pixels", fmt::format("{} x {}", pictures.width, pictures.height)}}};
  PageSection seen{.title = "Pictures"};
  seen.figures.push_back(
      {picture_figure(pictures),
       fmt::format("Made of the numbers that the network gets: normalisation is undone, crops and flips are those of "
                   "the stage {} with this seed. Black beside a picture is the padding of a crop.",
                   pictures.stage)});
  PageSection numbers{.title = "Numbers"};
  numbers.tables.push_back({.title = "Classes", .table = text.classes});
  numbers.texts.emplace_back("Survey", text.survey);
  page.sections = {std::move(seen), std::move(numbers)};
  return page;
}

}  // namespace bsq
