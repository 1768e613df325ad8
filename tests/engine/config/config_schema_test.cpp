// What a data set, a family of networks and a stage add to a configuration, by toys of each.
#include "tests/engine/config/config_support.h"

#include "engine/config/config_schema.h"

using namespace bsq;

namespace {

struct Boards {
  int cells = 4;
};

struct Gates {
  double temperature = 0.5;
};

void add_boards(ConfigSchema& schema) {
  schema.part<Boards>("data").add("board_cells", &Boards::cells, between(1, 8), "cells along a side");
  schema.add_check("data", [](const Config& config, std::vector<Conflict>& conflicts) {
    if (config.data.kind == "boards" && config.part<Boards>().cells == 7)
      conflicts.push_back({{"data.board_cells"}, "data.board_cells = 7; must divide 32"});
  });
}

void add_gates(ConfigSchema& schema) {
  schema.add_training("gates", {.epochs = 3, .milestones = {2}});
  schema.part<Gates>("gates").add("temperature", &Gates::temperature, at_least(0), "of the gates");
}

constexpr bool kStandard = true;

const ConfigSchema& toy_schema() {
  static const ConfigSchema schema({.families = {{"chain"}, {"tree"}},
                                    .data_sets = {{"noise"}, {"boards", add_boards}},
                                    .augmentations = {},
                                    .stages = {{{"start"}, StageWidths::none, kStandard, /*starts_untrained=*/true},
                                               {{"gates", add_gates}, StageWidths::finds, kStandard},
                                               {{"other"}, StageWidths::finds},
                                               {{"polish"}, StageWidths::needs, kStandard}}});
  return schema;
}

std::string toy_error(const std::vector<std::string>& overrides) {
  try {
    load_config(toy_schema(), {}, overrides);
  } catch (const Error& error) {
    const std::string message = error.what();
    return message.substr(0, message.find("\n1 error"));
  }
  return "";
}

}  // namespace

TEST_CASE("a schema's first choices and its standard stages are the defaults") {
  const Config config(toy_schema());
  CHECK(config.model.arch == "chain");
  CHECK(config.data.kind == "noise");
  CHECK(config.stages == std::vector<std::string>{"start", "gates", "polish"});
  CHECK(load_config(toy_schema(), {}, std::vector<std::string>{"stages=[start, other, polish]"}).runs("other"));
  CHECK(config.find_stage("start") == nullptr);
  CHECK(config.stage("gates").epochs == 3);
  CHECK(config.part<Boards>().cells == 4);
}

TEST_CASE("the keys that a choice adds lie with their section, and are read, printed and compared as all others") {
  const std::vector<std::string> overrides = {"data.kind=boards", "data.board_cells=8", "gates.temperature=2",
                                              "gates.lr=3", "model.arch=tree"};
  const Config config = load_config(toy_schema(), {}, overrides);
  CHECK(config.part<Boards>().cells == 8);
  CHECK(config.part<Gates>().temperature == 2);
  CHECK(config.stage("gates").lr == 3);
  CHECK(differences(Config(toy_schema()), config) ==
        std::vector<std::string>{"model.arch chain in the run, tree now", "data.kind noise in the run, boards now",
                                 "data.board_cells 4 in the run, 8 now", "gates.lr 0.1 in the run, 3 now",
                                 "gates.temperature 0.5 in the run, 2 now"});
  CHECK(
      describe_keys(toy_schema()).find("  data.board_cells=4                 cells along a side; an integer in 1..8") !=
      std::string::npos);
  const Config copy = config;
  CHECK(to_yaml(copy) == to_yaml(config));
  CHECK(config_hash(copy) != config_hash(Config(toy_schema())));
}

TEST_CASE("values outside the tables and what a choice refuses are errors") {
  CHECK(toy_error({"data.kind=cifar10"}) == "override 1: data.kind = cifar10; must be one of noise, boards");
  CHECK(toy_error({"model.arch=three"}) ==
        "override 1: model.arch = three; must be one of chain, tree; did you mean 'tree'?");
  CHECK(toy_error({"data.board_cells=9"}) == "override 1: data.board_cells = 9; must be an integer in 1..8");
  CHECK(toy_error({"data.board_cells=7"}).empty());  // of a data set that is not chosen
  CHECK(toy_error({"data.board_cells=7", "data.kind=boards"}) == "override 1: data.board_cells = 7; must divide 32");
  CHECK(toy_error({"stages=[start, polish]"}) ==
        "override 1: stages = [start, polish]; polish needs bit widths; put gates or other before it");
  CHECK(toy_error({"stages=[gates]"}) ==
        "override 1: stages begin with gates, which needs a trained model; set model.init to a checkpoint folder or a "
        ".safetensors file");
}
