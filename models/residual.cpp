#include "models/residual.h"

namespace bsq {

std::vector<ConvOptions> ResidualSettings::convolutions(int planes, int stride) const {
  if (!is_bottleneck) return {{.out = planes, .stride = stride}, {.out = planes}};
  return {{.out = planes, .kernel = 1}, {.out = planes, .stride = stride}, {.out = outputs(planes), .kernel = 1}};
}

std::string ResidualSettings::name(const std::string& family) const {
  return fmt::format("{}{}{}", family, depth, is_bottleneck ? "-bottleneck" : "");
}

nlohmann::ordered_json ResidualSettings::json(bool shows_basic) const {
  nlohmann::ordered_json json = {{"depth", depth}, {"width", width}};
  if (is_bottleneck || shows_basic) json["block"] = is_bottleneck ? "bottleneck" : "basic";
  return json;
}

void add_residual_keys(ConfigSchema& schema, const std::string& family) {
  schema.add_family_keys(family, {{"depth", 20, between(8, 10000),
                                   "layers, 6n+2 (8, 14, 20, 32, 44, 56, 110); bottleneck 9n+2", "--depth"},
                                  {"width", 16, between(1, 4096), "channels of the first group of blocks"},
                                  {"block", std::string("basic"), one_of({"basic", "bottleneck"}),
                                   "two 3x3 convolutions, or 1x1, 3x3, 1x1", "--block-name"}});
  schema.add_check("model", [family](const Config& config, std::vector<Conflict>& conflicts) {
    if (config.model.arch != family) return;
    const ResidualSettings settings = residual_settings(config);
    check_depth(config, settings.rule(), settings.is_bottleneck ? ", with model.block bottleneck" : "", conflicts);
  });
}

ResidualSettings residual_settings(const Config& config) {
  return {.depth = config.family<int>("depth"),
          .width = config.family<int>("width"),
          .is_bottleneck = config.family<std::string>("block") == "bottleneck"};
}

}  // namespace bsq
