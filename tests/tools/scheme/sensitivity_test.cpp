// The rise of the loss layer by layer, against models whose one layer was rounded by hand.
#include "tools/scheme/sensitivity.h"

#include "engine/methods/bsq/bit_planes.h"
#include "tests/support/engine.h"
#include "tests/support/files.h"
#include "tools/scheme/sensitivity_text.h"

#include <set>

namespace bsq::test {
namespace {

/// A small network with weights in a store of floats, and the pictures that its loss is the mean over.
class Measurement {
 public:
  Measurement(Backend& backend, const TestModel::MakeWeights& make_weights)
      : set_(tiny_pictures("sensitivity", 30)),
        start_(make_weights(lay_out(make_resnet(tiny_resnet()).parameters(), ParameterGroup::quantized))),
        test_(backend, make_resnet(tiny_resnet()), [this](const ArenaLayout&) { return StoredDense::convert(start_); }),
        source_(test_.memory, set_, "sensitivity"),
        evaluator_(test_.memory, test_.model, source_, tiny_input(), 8, alone()) {}

  double loss() { return evaluator_.run().loss(); }
  /// The loss if one tensor has these values and all others their own.
  double loss_with(std::size_t slot, const std::vector<float>& values) {
    const ArenaLayout& layout = test_.model.quantized_layout();
    store().set(layout.slots[slot], values);
    const double found = loss();
    store().set(layout.slots[slot], start_->values(slot));
    return found;
  }
  Sensitivity measure() {
    Sensitivity result;
    bsq::measure({.store = store(),
                  .layout = test_.model.quantized_layout(),
                  .weights = *start_,
                  .loss = [this] { return loss(); },
                  .measured = [this](const std::string&) { ++widths_measured; }},
                 layers(), result);
    return result;
  }
  std::vector<SchemeLayer> layers() {
    TensorFile file = test_.model.save(test_.model.state(), *start_, {});
    return scheme_layers(open_model(describe_model(std::move(file))));
  }
  const StoredWeights& start() const { return *start_; }
  std::int64_t widths_measured = 0;

 private:
  DenseWeights& store() { return dynamic_cast<DenseWeights&>(test_.model.quantized()); }

  ImageSet set_;
  Weights start_;
  TestModel test_;
  ResidentSource source_;
  Evaluator evaluator_;
};

std::vector<float> rounded_by_hand(const std::vector<float>& values, int bits) {
  float scale = 0;
  for (const float value : values) scale = std::max(scale, std::abs(value));
  const double steps = std::exp2(bits) - 1;
  std::vector<float> rounded;
  for (const float value : values)
    rounded.push_back(static_cast<float>(std::nearbyint(value * steps / scale) / steps * scale));
  return rounded;
}

}  // namespace

TEST_CASE("each rise is that of a model whose one layer was rounded by hand") {
  for_each_device([](Backend& backend) {
    Measurement measurement(backend, [](const ArenaLayout& layout) { return initial_weights(layout, 1); });
    const double loss = measurement.loss();
    const Sensitivity found = measurement.measure();
    CHECK(found.loss == loss);
    CHECK(measurement.loss() == loss);  // all is as it was
    REQUIRE(found.layers.size() == 8);
    CHECK(measurement.widths_measured == measured_widths(measurement.layers()));
    CHECK(measurement.widths_measured == 1 + 8 * 8);
    for (std::size_t i = 0; i < 7; ++i) {  // fc has two tensors
      INFO(found.layers[i].name);
      const std::size_t slot = measurement.layers()[i].slots.front();
      REQUIRE(found.layers[i].rises.size() == 8);
      for (const int bits : {1, 2, 5})
        CHECK(found.layers[i].rises.at(bits) ==
              Approx(measurement.loss_with(slot, rounded_by_hand(measurement.start().values(slot), bits)) - loss)
                  .margin(2e-6));
      CHECK(std::abs(found.layers[i].rises.at(8)) < std::abs(found.layers[i].rises.at(1)));
    }
  });
}

TEST_CASE("a quantized model is measured below its own widths, which cost nothing") {
  const auto oracle = make_reference_backend();
  Measurement measurement(*oracle, start_as_planes(3));
  const Sensitivity found = measurement.measure();
  CHECK(found.loss == measurement.loss());
  for (const LayerSensitivity& layer : found.layers) {
    INFO(layer.name);
    CHECK(layer.bits == 3);
    CHECK(layer.rises.size() == 2);
    CHECK(layer.rise(3) == 0);
    CHECK(layer.rise(2) == layer.rises.at(2));
    CHECK_FALSE(layer.rise(4).has_value());
  }
  const SchemeLayer fc = measurement.layers().back();
  CHECK(fc.name == "fc");
  CHECK(fc.slots.size() == 2);
  CHECK(fc.weights == 16 * 3 + 3);
  CHECK(fc.stored_bits(2) == (16 * 3 + 3) * 3 + 2 * 32);
}

TEST_CASE("a loss that is no number ends the measurement, and says where") {
  const auto oracle = make_reference_backend();
  Measurement measurement(*oracle, start_as_planes(2));
  TestModel other(*oracle, make_resnet(tiny_resnet()),
                  [&](const ArenaLayout&) { return as_weights(all_values(measurement.start())); });
  int calls = 0;
  const std::vector<SchemeLayer> layers = measurement.layers();
  const std::string message = error_of(ErrorKind::diverged, [&] {
    Sensitivity result;
    measure({.store = dynamic_cast<DenseWeights&>(other.model.quantized()),
             .layout = other.model.quantized_layout(),
             .weights = measurement.start(),
             .loss = [&] { return ++calls < 3 ? 1.0 : std::nan(""); },
             .measured = {}},
            layers, result);
  });
  CHECK(message == "layer1.0.conv1 at 1 bits: the loss is nan");
}

TEST_CASE("what was measured is written and read again, and belongs to its model alone") {
  const auto oracle = make_reference_backend();
  Measurement measurement(*oracle, start_as_planes(3));
  Sensitivity found = measurement.measure();
  found.model = "m.safetensors";
  found.network = "resnet8";
  found.set = "train";
  found.images = 30;
  found.precision = "fp32";
  found.batch_size = 8;
  const TemporaryFolder folder;
  const fs::path file = folder / "s.json";
  put_text(file, to_json_text(found));
  const Sensitivity read = read_sensitivity(file);
  CHECK(to_json_text(read) == to_json_text(found));
  CHECK(read.layers.back().rises == found.layers.back().rises);
  CHECK_NOTHROW(check_measured_on(read, measurement.layers(), "s.json"));
  std::vector<SchemeLayer> others = measurement.layers();
  others[2].bits = 4;
  CHECK(
      error_of(ErrorKind::usage, [&] { check_measured_on(read, others, "s.json"); }) ==
      "s.json: was measured on another model (resnet8): layer1.0.conv2 had 3 bits, here it has 4 (32: float); measure "
      "this one");
  others[1].name = "conv9";
  CHECK_THAT(error_of(ErrorKind::usage, [&] { check_measured_on(read, others, "s.json"); }),
             Catch::Contains("its layer 2 is layer1.0.conv1 of 144 weights, that of this one conv9 of 144"));
  others.pop_back();
  CHECK_THAT(error_of(ErrorKind::usage, [&] { check_measured_on(read, others, "s.json"); }),
             Catch::Contains("it has 8 layers, this one 7"));
  CHECK_THAT(sensitivity_csv(read),
             Catch::StartsWith("layer,weights,layer_bits,fixed,bits,loss_rise\nconv1,108,3,0,2,"));
  CHECK(sensitivity_table(read).rows().size() == 8);
}

TEST_CASE("a changed file of a sensitivity is refused with what is wrong") {
  const TemporaryFolder folder;
  const fs::path file = folder / "s.json";
  const std::string good =
      R"({"file": "m", "network": "n", "set": "train", "images": 3, "eval_batch_size": 3, "precision": "fp32",)"
      R"( "act_bits": 4, "loss": 1.5, "layers": [{"name": "a", "weights": 5, "bits": 3, "fixed": false,)"
      R"( "loss_rise": {"2": 0.5, "1": -0.25}}]})";
  put_text(file, good);
  CHECK(read_sensitivity(file).layers.front().rise(1) == -0.25);
  const std::vector<std::tuple<std::string, std::string, std::string>> changes = {
      {R"("loss": 1.5)", R"("loss": -1)", "out of range"},
      {R"("loss": 1.5,)", "", "'loss'"},
      {R"("images": 3)", R"("images": "many")", "is no count"},
      {R"("weights": 5)", R"("weights": 0)", "a layer has no name or no weights"},
      {R"("2": 0.5)", R"("9": 0.5)", "loss_rise of a is no map of widths 1..8 to numbers"},
      {R"("2": 0.5)", R"("2": "much")", "loss_rise of a is no map of widths 1..8 to numbers"},
      {R"(, "1": -0.25)", "", "loss_rise of a lacks a width below 2"},
      {R"("bits": 3)", R"("bits": 4)", "loss_rise of a has 2 widths, which do not belong to 4 bits"},
      {R"("bits": 3)", R"("bits": 33)", "is no count from 0 to 32"},
      {R"("fixed": false)", R"("fixed": 0)", "must be boolean"},
      {R"("file")", R"(file)", "parse error"},
  };
  for (const auto& [from, to, what] : changes) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    INFO(text);
    put_text(file, text);
    const std::string message = error_of(ErrorKind::usage, [&] { read_sensitivity(file); });
    CHECK_THAT(message, Catch::StartsWith(file.string() + ": is not what bsq sensitivity --json prints ("));
    CHECK_THAT(message, Catch::Contains(what));
    CHECK_THAT(message, Catch::EndsWith("); measure again"));
  }
}

}  // namespace bsq::test
