// What `bsq validate` says of the deployed form before anything is trained.
#include "tests/support/workspace.h"

using namespace bsq::test;

namespace {

/// Its lines after the first, without `deployed: `.
std::vector<std::string> forecast(const Workspace& here, const std::vector<std::string>& overrides = {}) {
  Words words = {"validate", "tiny.yaml"};
  words.insert(words.end(), overrides.begin(), overrides.end());
  std::vector<std::string> lines = lines_of(here.must(words).out);
  lines.erase(lines.begin());
  for (std::string& line : lines) {
    REQUIRE(line.starts_with("deployed: "));
    line.erase(0, 10);
  }
  return lines;
}

const std::vector<std::string> kBest = {"quant.act_scale=calibrated",
                                        "quant.act_bits=7",
                                        "quant.weight_bits=7",
                                        "quant.max_bits=7",
                                        "quant.projections=true",
                                        "data.mean=[0.50196078,0.50196078,0.50196078]",
                                        "data.std=[0.25098039,0.25098039,0.25098039]"};

std::vector<std::string> with(std::vector<std::string> settings, const std::string& one) {
  settings.push_back(one);
  return settings;
}

}  // namespace

TEST_CASE("validate says what will be rounded in the deployed form, and the key that changes it") {
  const Workspace here;
  const std::string runs = "runs in integers; quant.deployed=true trains in their arithmetic";
  CHECK(forecast(here, kBest) == std::vector<std::string>{runs});
  CHECK(forecast(here, with(kBest, "quant.act_scale=batch_max")) ==
        std::vector<std::string>{"runs in integers once its activations are calibrated (quant.act_scale=calibrated)"});
  CHECK(forecast(here, with(with(kBest, "quant.deployed=true"), "quant.projections=false")) ==
        std::vector<std::string>{"runs in integers, as it is trained"});
  const auto check = [&](const std::string& setting, const std::string& line) {
    INFO(setting);
    const std::vector<std::string> lines = forecast(here, with(kBest, setting));
    REQUIRE(lines.size() == 2);
    CHECK(lines[0] == runs);
    CHECK_THAT(lines[1], Catch::StartsWith(line));
  };
  check("quant.max_bits=8",
        "9 layers may keep 8 bits, of which 7 fit beside the sign, and are rounded: "
        "quant.weight_bits=7 quant.max_bits=7 ");
  check("quant.projections=false", "the float weights of 2 layers are rounded to 127 levels a side");
  check("data.mean=[0.5,0.5,0.5]", "pixels are rounded to 256 levels of one unit: data.mean=[0.50196078,");
  check("quant.act_bits=8", "weights of 7 and activations of 8 bits: onnxruntime and OpenVINO saturate sums ");
  CHECK(forecast(here, with(kBest, "quant.layers={layer2.0.conv1: {max_bits: 8, weight_bits: 8}}"))
            .at(1)
            .starts_with("1 layer may keep 8 bits, of which 7 fit beside the sign, and is rounded"));
}

TEST_CASE("validate says why there will be no deployed form, and nothing where no stage quantizes") {
  const Workspace here;
  CHECK(forecast(here, with(kBest, "quant.act_bits=0")) ==
        std::vector<std::string>{"no integer form: activations are not quantized (quant.act_bits: 0)"});
  CHECK(forecast(here, with(kBest, "stages=[pretrain]")).empty());
  put_text(here / "net.yaml",
           "nodes:\n"
           "  - {name: conv, layer: conv2d, out: 10, quantized: true}\n"
           "  - {name: norm, layer: norm_act, activation: configured, quantized: true}\n"
           "  - {name: pool, layer: average_pool}\n");
  CHECK(forecast(here, with(kBest, "model.network=net.yaml")) ==
        std::vector<std::string>{"no integer form: it ends with pool, which is no linear layer"});
}
