// The trace of the Hessian by differences of losses: of functions whose Hessian is known, and of a network.
#include "tools/scheme/hessian_trace.h"

#include "engine/methods/bsq/bit_planes.h"
#include "tests/support/engine.h"
#include "tests/support/files.h"
#include "tools/scheme/sensitivity_text.h"

namespace bsq::test {
namespace {

/// A small network whose loss is a function of the numbers in its store, and no loss of a network.
class WeightFunction {
 public:
  using Function = std::function<double(std::size_t slot, const std::vector<float>& values)>;

  explicit WeightFunction(Function function)
      : backend_(make_reference_backend()),
        start_(initial_weights(lay_out(make_resnet(tiny_resnet()).parameters(), ParameterGroup::quantized), 1)),
        test_(*backend_, make_resnet(tiny_resnet()), [this](const ArenaLayout&) { return start_; }),
        function_(std::move(function)) {
    TensorFile file = test_.model.save(test_.model.state(), *start_, {});
    layers_ = scheme_layers(open_model(describe_model(std::move(file))));
  }

  Sensitivity traced(int probes, std::uint64_t seed = 1) {
    Sensitivity result;
    const SensitivityMeasurement how{.store = store(),
                                     .layout = test_.model.quantized_layout(),
                                     .weights = *start_,
                                     .loss = [this] { return loss(); },
                                     .measured = [this](const std::string&) { ++measured; }};
    measure(how, layers_, result);
    measured = 0;
    measure_traces(how, layers_, {.probes = probes, .seed = seed}, result);
    return result;
  }
  double loss() {
    double sum = 0;
    const DenseTensors values = all_values(*download(*backend_, store().masters()));
    for (std::size_t slot = 0; slot < values.size(); ++slot) sum += function_(slot, values[slot]);
    return sum;
  }
  const std::vector<SchemeLayer>& layers() const { return layers_; }
  std::vector<float> values(std::size_t slot) const { return start_->values(slot); }
  int measured = 0;

 private:
  DenseWeights& store() { return dynamic_cast<DenseWeights&>(test_.model.quantized()); }

  std::unique_ptr<Backend> backend_;
  Weights start_;
  TestModel test_;
  Function function_;
  std::vector<SchemeLayer> layers_;
};

}  // namespace

TEST_CASE("the trace of a diagonal Hessian is found by one probe, that of others within its error") {
  // sum of a_i w_i^2 / 2 + w_i, a_i = 1 + slot
  WeightFunction diagonal([](std::size_t slot, const std::vector<float>& values) {
    double sum = 0;
    for (const float w : values) sum += 0.5 * static_cast<double>(1 + slot) * w * w + static_cast<double>(w);
    return sum;
  });
  const double before = diagonal.loss();
  const Sensitivity found = diagonal.traced(1);
  CHECK(diagonal.loss() == before);  // all is as it was
  CHECK(diagonal.measured == std::ssize(diagonal.layers()));
  for (std::size_t i = 0; i < found.layers.size(); ++i) {
    const std::size_t slot = diagonal.layers()[i].slots.front();
    REQUIRE(found.layers[i].hessian);
    const HessianTrace& hessian = *found.layers[i].hessian;
    INFO(found.layers[i].name);
    CHECK(hessian.weights == std::ssize(diagonal.values(slot)));
    CHECK(hessian.trace == Approx(static_cast<double>(1 + slot) * static_cast<double>(hessian.weights)).epsilon(1e-3));
    CHECK_FALSE(hessian.error);
    CHECK(hessian.predicted_rises.size() == found.layers[i].rises.size());
    CHECK(hessian.predicted_rises.at(2) < hessian.predicted_rises.at(1));
  }
  // (sum of w)^2 / 2: a Hessian of ones, whose trace is the number of weights
  WeightFunction dense([](std::size_t /*slot*/, const std::vector<float>& values) {
    double sum = 0;
    for (const float w : values) sum += static_cast<double>(w);
    return 0.5 * sum * sum;
  });
  const Sensitivity of_ones = dense.traced(60);
  for (const LayerSensitivity& layer : of_ones.layers) {
    INFO(layer.name << ": " << layer.hessian->trace << " of " << layer.hessian->weights);
    REQUIRE(layer.hessian->error);
    CHECK(std::abs(layer.hessian->trace - static_cast<double>(layer.hessian->weights)) < 4 * *layer.hessian->error);
    CHECK(*layer.hessian->error < 0.5 * static_cast<double>(layer.hessian->weights));
  }
  CHECK(to_json_text(dense.traced(3, 1)) == to_json_text(dense.traced(3, 1)));
  CHECK(to_json_text(dense.traced(3, 1)) != to_json_text(dense.traced(3, 2)));
}

TEST_CASE("traces are written and read again, and stand in the table and in CSV") {
  WeightFunction function([](std::size_t slot, const std::vector<float>& values) {
    double sum = 0;
    for (const float w : values) sum += static_cast<double>(w) * w * w;
    return slot == 0 ? 1 + sum * sum : 1;
  });
  Sensitivity found = function.traced(2);
  found.model = "m";
  found.network = "n";
  found.set = "train";
  found.images = 3;
  found.batch_size = 3;
  found.precision = "fp32";
  const TemporaryFolder folder;
  put_text(folder / "s.json", to_json_text(found));
  const Sensitivity read = read_sensitivity(folder / "s.json");
  CHECK(to_json_text(read) == to_json_text(found));
  CHECK(read.probes == 2);
  CHECK(read.layers[0].hessian->predicted_rises == found.layers[0].hessian->predicted_rises);
  CHECK(sensitivity_table(read).rows().front().size() == 3 + 8 + 3);
  const std::string csv = sensitivity_csv(read);
  CHECK_THAT(csv, Catch::StartsWith("layer,weights,layer_bits,fixed,bits,loss_rise,hessian_trace,hessian_error,"
                                    "predicted_rise\nconv1,"));
  std::string changed = to_json_text(found);
  const std::size_t predicted = changed.find("\"8\"", changed.find("predicted_rise"));
  changed.replace(predicted, 3, "\"9\"");
  put_text(folder / "s.json", changed);
  CHECK_THAT(error_of(ErrorKind::usage, [&] { read_sensitivity(folder / "s.json"); }),
             Catch::Contains("predicted_rise of conv1 is no map of widths 1..8 to numbers"));
  changed.erase(predicted, changed.find(',', predicted) + 1 - predicted);  // a width is missing
  put_text(folder / "s.json", changed);
  CHECK_THAT(error_of(ErrorKind::usage, [&] { read_sensitivity(folder / "s.json"); }),
             Catch::Contains("predicted_rise of conv1 has other widths than loss_rise"));
}

TEST_CASE("a probe whose loss is no number ends the measurement, and says where") {
  int calls = 0;
  WeightFunction function([&](std::size_t slot, const std::vector<float>& /*values*/) {
    if (slot == 0) ++calls;
    return calls > 1 + 8 * 8 ? std::nan("") : 1.0;
  });
  CHECK(error_of(ErrorKind::diverged, [&] { function.traced(1); }) == "a probe of conv1: the loss is nan");
}

}  // namespace bsq::test
