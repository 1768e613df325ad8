// What a model file says of itself: every key there and back, texts that nobody changed, and texts that are damaged.
#include "engine/model/model_card.h"

#include "tests/support/catch.h"

using namespace bsq;

namespace {

ModelCard card_of(const std::map<std::string, std::string>& metadata) {
  TensorFile file;
  file.metadata = metadata;
  return read_card(file);
}

}  // namespace

TEST_CASE("a card is written as it is read, whatever the spelling and whoever's the keys") {
  const std::map<std::string, std::string> metadata = {
      {"format", "pt"},        {"form", "planes"},  {"scheme", "{\"fc\": [8, 8]}"}, {"arch", "resnet"},
      {"depth", "8"},          {"width", "2"},      {"num_classes", "10"},          {"class_names", "[ \"cat\" ]"},
      {"mean", "[0.5, 0.50]"}, {"std", "[1,1,1]"},  {"eval_batch_size", "100"},     {"activation", "pact"},
      {"act_bits", "3"},       {"act_scale", "ba"}, {"deployed", "true"},           {"stage", "bsq"},
      {"bsq_version", "1.0"},  {"epoch", "17"},     {"best_acc", "of whom"},        {"quantized", "a 1 2"},
      {"float", "b 3"}};
  const ModelCard card = card_of(metadata);
  CHECK(to_metadata(card) == metadata);
  CHECK(card.form == "planes");
  CHECK(card.depth == 8);
  CHECK(card.deployed == true);
  CHECK(card.class_names == std::vector<std::string>{"cat"});
  CHECK(card.mean == std::vector<double>{0.5, 0.5});
  CHECK(card.plain == "b 3");
  for (const auto& [key, text] : metadata) CHECK(damaged_text(card, key) == nullptr);
}

TEST_CASE("what is set in a card is written, what is reset is gone") {
  ModelCard card = card_of({{"act_bits", "3"}, {"scheme", "{}"}, {"mean", "[0.5, 0.5, 0.5]"}});
  card.act_bits = 4;
  card.scheme.reset();
  card.std = {0.25, 0.5, 1};
  card.class_names = {"a", "b\"c"};
  CHECK(to_metadata(card) == std::map<std::string, std::string>{{"act_bits", "4"},
                                                                {"mean", "[0.5, 0.5, 0.5]"},
                                                                {"std", "[0.25,0.5,1.0]"},
                                                                {"class_names", R"(["a","b\"c"])"}});
  CHECK(to_metadata(ModelCard{}).empty());
}

TEST_CASE("a damaged text is not believed, not lost, and can be shown") {
  const ModelCard card = card_of({{"act_bits", "many"}, {"mean", "{}"}, {"depth", ""}});
  CHECK_FALSE(card.act_bits);
  CHECK_FALSE(card.mean);
  CHECK_FALSE(card.depth);
  REQUIRE(damaged_text(card, "act_bits") != nullptr);
  CHECK(*damaged_text(card, "act_bits") == "many");
  CHECK(damaged_text(card, "width") == nullptr);
  CHECK(to_metadata(card).at("mean") == "{}");
}
