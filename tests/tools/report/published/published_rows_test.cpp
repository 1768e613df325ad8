// The table of what others have published: that it can be read, is found by the network of a run, and says what is
// known.
#include "tools/report/published/published_rows.h"

#include "tests/support/config.h"
#include "tests/support/catch.h"

#include <algorithm>
#include <set>

namespace bsq::test {
namespace {

std::string words_of(const std::string& arch, int depth) {
  return network_words(
      load_config(schema(), {}, std::vector{"model.arch=" + arch, "model.depth=" + std::to_string(depth)}));
}

}  // namespace

TEST_CASE("published rows are found by the words that reports have for a network") {
  const std::vector<PublishedRow> small = published_rows(words_of("resnet", 20), "cifar10");
  const std::vector<PublishedRow> middle = published_rows(words_of("torchvision_resnet", 18), "imagenet");
  const std::vector<PublishedRow> large = published_rows(words_of("torchvision_resnet", 50), "imagenet");
  CHECK(small.size() > 20);
  CHECK(middle.size() > 10);
  CHECK(large.size() > 10);
  const std::string& csv = published_csv();
  CHECK(small.size() + middle.size() + large.size() + 1 ==
        static_cast<std::size_t>(std::count(csv.begin(), csv.end(), '\n')));
  CHECK(published_rows(words_of("resnet", 20), "cifar10, 5 test images per class").empty());
  CHECK(published_rows(words_of("resnet", 14), "cifar10").empty());
  CHECK(published_rows("", "cifar10").empty());
}

TEST_CASE("every published row has an accuracy, a year and an evidence, and stored bits that its widths allow") {
  const std::set<std::string> evidence = {"V1", "V2", "V3", "V4", "VR", "VA", "S", "M"};
  for (const auto& [words, data] :
       {std::pair(words_of("resnet", 20), "cifar10"), std::pair(words_of("torchvision_resnet", 18), "imagenet"),
        std::pair(words_of("torchvision_resnet", 50), "imagenet")})
    for (const PublishedRow& row : published_rows(words, data)) {
      INFO(row.network << ", " << row.method << " " << row.weight_bits << "/" << row.act_bits);
      CHECK((row.top1 > 60 && row.top1 < 94));
      CHECK(row.year.size() == 4);
      CHECK(evidence.contains(row.evidence));
      if (row.float_top1) CHECK((*row.float_top1 > 92 && *row.float_top1 < 94));
      if (!row.stored_bits()) continue;
      // First and last layers have more bits, so that a file needs rather more than the width says.
      const bool has_width = row.weight_bits.find_first_not_of("0123456789.") == std::string::npos;
      if (has_width) CHECK(*row.stored_bits() >= std::stod(row.weight_bits) - 1e-9);
      if (has_width) CHECK(*row.stored_bits() < std::stod(row.weight_bits) + 0.2);
      // A paper's own count leaves signs out.
      if (row.ratio_published) CHECK(*row.ratio_stored < *row.ratio_published);
    }
}

TEST_CASE("what was looked up is told from what was not, and an unknown size from a known one") {
  const std::vector<PublishedRow> rows = published_rows(words_of("resnet", 20), "cifar10");
  const auto row = [&](const std::string& method, const std::string& act_bits) -> const PublishedRow& {
    const auto found = std::find_if(rows.begin(), rows.end(), [&](const PublishedRow& one) {
      return one.method == method && one.act_bits == act_bits;
    });
    REQUIRE(found != rows.end());
    return *found;
  };
  CHECK(row("LSQ", "3").is_checked());
  CHECK(row("LSQ", "3").top1 == 91.69);
  CHECK(*row("LSQ", "3").stored_bits() == 32 / 10.6);
  CHECK_FALSE(row("BSQ 5e-3", "4").is_checked());
  CHECK(*row("BSQ 5e-3", "4").stored_bits() == 32 / 9.9);
  CHECK_FALSE(row("HAWQ", "4").is_checked());
  CHECK_FALSE(row("HAWQ", "4").stored_bits().has_value());
  CHECK(*row("HAWQ", "4").ratio_published == 13.11);
}

}  // namespace bsq::test
