// Which stages reports have columns for: of the chain that everybody runs, and of runs with other stages.
#include "tools/report/shown_stages.h"

#include "tests/support/catch.h"
#include "tests/support/config.h"

using namespace bsq;

namespace {

void add_float(ConfigSchema& schema) {
  schema.add_training("float", {});
}

void add_planes(ConfigSchema& schema) {
  schema.add_training("planes", {});
}

void add_gates(ConfigSchema& schema) {
  schema.add_training("gates", {});
}

/// A standard chain float, round, planes, and a method beside it.
const ConfigSchema& toy_schema() {
  constexpr bool kStandard = true;
  static const ConfigSchema schema({.families = {{"chain"}},
                                    .data_sets = {{"noise"}},
                                    .augmentations = {},
                                    .stages = {{{"float", add_float}, StageWidths::none, kStandard},
                                               {{"round"}, StageWidths::finds, kStandard},
                                               {{"gates", add_gates}, StageWidths::finds},
                                               {{"planes", add_planes}, StageWidths::finds, kStandard}}});
  return schema;
}

std::vector<std::string> shown_of(const std::vector<std::string>& stages) {
  Config config(toy_schema());
  config.stages = stages;
  std::vector<std::string> names;
  for (const StageChoice& stage : stages_to_show(config)) names.push_back(stage.name);
  return names;
}

RunReport report_of(const std::vector<std::string>& stages) {
  RunReport report;
  report.config = test::default_config();
  report.config.stages = stages;
  return report;
}

}  // namespace

TEST_CASE("a part of the standard chain has the columns of the whole, another method its own") {
  using Names = std::vector<std::string>;
  CHECK(shown_of({"float", "round", "planes"}) == Names{"float", "planes"});
  CHECK(shown_of({"float"}) == Names{"float", "planes"});
  CHECK(shown_of({"round"}) == Names{"float", "planes"});
  CHECK(shown_of({"float", "gates"}) == Names{"float", "gates"});
  CHECK(shown_of({"round", "gates"}) == Names{"gates"});
}

TEST_CASE("runs of the standard chain are compared in float and under BSQ, and ordered by its alpha") {
  const std::vector<RunReport> reports = {report_of({"pretrain"}), report_of({"finetune"})};
  std::vector<std::string> titles;
  for (const ShownStage& stage : shown_stages(reports)) titles.push_back(stage.method.title);
  CHECK(titles == std::vector<std::string>{"float", "BSQ", "finetuned"});
  std::vector<std::string> compared;
  for (const ComparedStage& stage : compared_stages(reports)) compared.push_back(stage.name + " " + stage.title);
  CHECK(compared == std::vector<std::string>{"pretrain float", "bsq bsq"});
  Config config = test::default_config();
  config.part<BsqConfig>().alpha = 0.25;
  CHECK(strength_words(config) == "alpha 0.25, ");
}

TEST_CASE("strengths are called by the ends of their keys, unless these are the same") {
  const auto stage = [](const std::string& key) {
    return ShownStage{"s", StageWidths::finds, {.title = "S", .strength_key = key}};
  };
  std::vector<std::string> titles;
  for (const Strength& strength : strengths_of({stage("bsq.alpha"), stage(""), stage("csq.alpha"), stage("csq.beta")}))
    titles.push_back(strength.title);
  CHECK(titles == std::vector<std::string>{"alpha", "csq.alpha", "beta"});
}
