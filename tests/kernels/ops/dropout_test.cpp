// Dropout: how often and how independently elements are dropped, and what becomes of them.
#include "kernels/random.h"
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/random_tensors.h"

#include <cmath>
#include <limits>

namespace bsq::test {
namespace {

constexpr std::int64_t kSize = 20011;  // elements of a sample: no whole group

cases::DropoutCase dropout_case(double rate, int batch = 1, std::int32_t epoch = 0, std::int64_t first_sample = 0) {
  return {"dropout test", false, batch, kSize, rate, false, epoch, first_sample};
}

/// Sample i of the epoch is number i of the set.
DropoutInputs ones(const cases::DropoutCase& c) {
  DropoutInputs inputs = make_inputs(c);
  inputs.input.assign(inputs.input.size(), 1.0F);
  for (std::size_t i = 0; i < inputs.samples.size(); ++i) inputs.samples[i] = static_cast<std::int32_t>(i);
  return inputs;
}

std::vector<double> output_of(Backend& backend, const cases::DropoutCase& c, const DropoutInputs& inputs) {
  return run_dropout_forward(backend, c, DType::f32, inputs).at("output").values;
}

double share_of_zeros(const std::vector<double>& values) {
  return static_cast<double>(std::ranges::count(values, 0.0)) / static_cast<double>(values.size());
}

/// Correlation of two masks whose elements are dropped with probability `rate`, in its standard deviations.
double correlation(const std::vector<double>& a, const std::vector<double>& b, double rate) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += ((a[i] == 0) - rate) * ((b[i] == 0) - rate);
  return sum / (rate * (1 - rate)) / std::sqrt(static_cast<double>(a.size()));
}

constexpr double kDeviations = 4.5;  // beyond by chance once in 150,000; the seed is fixed

}  // namespace

TEST_CASE("dropout keeps the mean, and drops as often as its rate says") {
  for_each_backend([](Backend& backend) {
    for (const double rate : {0.01, 0.1, 0.3, 0.5, 0.9}) {
      INFO(rate);
      const cases::DropoutCase c = dropout_case(rate, 8);
      const std::vector<double> values = output_of(backend, c, ones(c));
      const auto count = static_cast<double>(values.size());
      const double deviation = std::sqrt(rate * (1 - rate) / count);
      CHECK(std::abs(share_of_zeros(values) - rate) < kDeviations * deviation);
      double sum = 0, squares = 0;
      for (const double value : values) {
        sum += value;
        squares += (value - 1) * (value - 1);
      }
      CHECK(std::abs(sum / count - 1) < kDeviations * deviation / (1 - rate));
      const double variance = rate / (1 - rate);  // of an element
      const double of_squares = variance * std::abs(1 - 2 * rate) / std::sqrt(rate * (1 - rate) * count);
      CHECK(std::abs(squares / count - variance) < kDeviations * of_squares + 1e-6);
    }
  });
}

TEST_CASE("every place of a group is dropped as often") {
  for_each_backend([](Backend& backend) {
    constexpr double rate = 0.3;
    const cases::DropoutCase c = dropout_case(rate, 8);
    const std::vector<double> values = output_of(backend, c, ones(c));
    std::vector<double> dropped(kDropoutGroup), seen(kDropoutGroup);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto place = i % kSize % kDropoutGroup;
      ++seen[place];
      dropped[place] += values[i] == 0;
    }
    double chi_square = 0;
    for (std::size_t place = 0; place < seen.size(); ++place)
      chi_square += std::pow(dropped[place] - rate * seen[place], 2) / (rate * (1 - rate) * seen[place]);
    CHECK(chi_square < 119);  // 64 degrees of freedom: beyond by chance three times in a hundred thousand
  });
}

TEST_CASE("masks of layers, epochs, samples and seeds have nothing to do with each other, nor neighbours in one") {
  for_each_backend([](Backend& backend) {
    for (const double rate : {0.2, 0.5}) {
      const cases::DropoutCase c = dropout_case(rate);
      const DropoutInputs inputs = ones(c);
      const std::vector<double> mask = output_of(backend, c, inputs);
      DropoutInputs other_layer = inputs, other_seed = inputs, other_sample = inputs;
      other_layer.stream += 1 << 16;
      other_seed.seed += std::uint64_t{1} << 40;
      other_sample.samples[0] = 1;
      const auto check_apart = [&](const char* what, const std::vector<double>& other) {
        INFO(what << ", " << rate);
        CHECK(std::abs(correlation(mask, other, rate)) < kDeviations);
      };
      CHECK(output_of(backend, c, inputs) == mask);
      check_apart("layer", output_of(backend, c, other_layer));
      check_apart("seed", output_of(backend, c, other_seed));
      check_apart("sample", output_of(backend, c, other_sample));
      check_apart("epoch", output_of(backend, dropout_case(rate, 1, 1), inputs));
      for (const std::ptrdiff_t distance : {1, 4, 16, 64}) {
        std::vector<double> moved(mask.begin() + distance, mask.end());
        moved.insert(moved.end(), mask.begin(), mask.begin() + distance);
        check_apart("neighbours", moved);
      }
    }
  });
}

TEST_CASE("a sample's mask does not depend on how the batch is cut, or on where the sample comes in it") {
  for_each_backend([](Backend& backend) {
    const cases::DropoutCase whole = dropout_case(0.4, 5, 3, 2);
    DropoutInputs inputs = make_inputs(whole);
    const std::vector<double> expected = output_of(backend, whole, inputs);
    const std::vector<float> input = inputs.input;
    for (const auto& [first, count] : {std::pair{0, 2}, std::pair{2, 3}, std::pair{4, 1}}) {
      inputs.input.assign(input.begin() + first * kSize, input.begin() + (first + count) * kSize);
      const std::vector<double> part = output_of(backend, dropout_case(0.4, count, 3, 2 + first), inputs);
      CHECK(part == std::vector<double>(expected.begin() + first * kSize, expected.begin() + (first + count) * kSize));
    }
  });
}

TEST_CASE("backward drops what forward dropped, and adds nothing there") {
  for_each_backend([](Backend& backend) {
    for (const DType dtype : activation_dtypes(backend)) {
      const cases::DropoutCase c = dropout_case(0.5, 2, 1, 1);
      DropoutInputs inputs = ones(c);
      inputs.d_output.assign(inputs.d_output.size(), 1.0F);
      inputs.d_input_before.assign(inputs.d_input_before.size(), 4.0F);
      const std::vector<double> forward = run_dropout_forward(backend, c, dtype, inputs).at("output").values;
      for (const GradMode mode : {GradMode::overwrite, GradMode::accumulate}) {
        std::vector<double> expected = forward;
        if (mode == GradMode::accumulate)
          for (double& value : expected) value += 4;
        CHECK(run_dropout_backward(backend, c, dtype, inputs, mode).at("d_input").values == expected);
      }
    }
  });
}

TEST_CASE("at rate 0 dropout changes nothing, at rate 1 it leaves zeros, and infinity and NaN can be dropped") {
  for_each_backend([](Backend& backend) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const double rate : {0.0, 0.5, 1.0}) {
        const cases::DropoutCase c = dropout_case(rate);
        DropoutInputs inputs = ones(c);
        inputs.input = rounded_to(dtype, RandomTensors("dropout").normal(kSize, 0, 1));
        const std::vector<double> mask = run_dropout_forward(backend, c, dtype, ones(c)).at("output").values;
        if (rate == 0)
          CHECK(run_dropout_forward(backend, c, dtype, inputs).at("output").values ==
                std::vector<double>(inputs.input.begin(), inputs.input.end()));
        if (rate == 1) CHECK(share_of_zeros(mask) == 1);
        for (const float strange : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
          inputs.input.assign(inputs.input.size(), strange);
          const std::vector<double> values = run_dropout_forward(backend, c, dtype, inputs).at("output").values;
          bool as_it_should = true;
          for (std::size_t i = 0; i < values.size(); ++i)
            as_it_should = as_it_should && (mask[i] == 0 ? values[i] == 0 : !std::isfinite(values[i]));
          CHECK(as_it_should);
        }
      }
    }
  });
}

TEST_CASE("levels stay what they are, and their unit takes the factor") {
  for_each_backend([](Backend& backend) {
    cases::DropoutCase c = dropout_case(0.25);
    c.units = true;
    DropoutInputs inputs = make_inputs(c);
    for (const DType dtype : activation_dtypes(backend)) {
      const Outputs outputs = run_dropout_forward(backend, c, dtype, inputs);
      CHECK(outputs.at("output_unit").values == std::vector<double>{0.4F * static_cast<float>(1 / 0.75)});
      const std::vector<double>& values = outputs.at("output").values;
      std::size_t kept = 0;
      for (std::size_t i = 0; i < values.size(); ++i) {
        kept += values[i] != 0;
        if (values[i] != 0 && values[i] != inputs.input[i]) FAIL("element " << i << " is " << values[i]);
      }
      CHECK(kept > 0);
    }
  });
}

}  // namespace bsq::test
