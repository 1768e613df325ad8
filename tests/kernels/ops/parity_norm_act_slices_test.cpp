// Synchronised batch norm (METHOD 10): what the slices of a batch come to together is what the whole batch comes to.
#include "kernels/rank_slice.h"
#include "tests/kernels/ops/parity.h"
#include "tests/kernels/ops/scripted_ranks.h"
#include "tests/support/catch.h"

#include <cmath>

namespace bsq::test {
namespace {

/// Samples of three ranks; the last has none and joins with one that counts nothing.
std::vector<int> slices_of(int batch) {
  return {batch - 1, 1, 0};
}

/// Rows [first, first + rows) of what has a value for each; d_y as the loss of the slice alone has it.
NormActInputs slice_of_inputs(const NormActInputs& whole, std::int64_t first, std::int64_t rows, int channels,
                              float d_y_factor) {
  NormActInputs slice = whole;
  for (std::vector<float> NormActInputs::*field :
       {&NormActInputs::x, &NormActInputs::shortcut, &NormActInputs::d_y, &NormActInputs::d_shortcut_before}) {
    const std::vector<float>& all = whole.*field;
    if (all.empty()) continue;
    (slice.*field).assign(all.begin() + first * channels, all.begin() + (first + rows) * channels);
  }
  for (float& value : slice.d_y) value *= d_y_factor;
  return slice;
}

using Run = std::function<Outputs(const NormActGeometry& geometry, const NormActInputs& inputs)>;

/// The ranks' outputs, once all calls have their results.
std::vector<Outputs> run_slices(Backend& backend, const cases::NormActCase& c, DType dtype, const NormActInputs& whole,
                                const Run& run) {
  const std::vector<int> samples = slices_of(c.batch);
  Exchange exchange;
  std::vector<Outputs> outputs(samples.size());
  for (std::size_t round = 0; round <= exchange.size(); ++round) {
    std::int64_t first = 0;
    for (std::size_t rank = 0; rank < samples.size(); ++rank) {
      const int count = samples[rank];
      const std::int64_t rows = std::int64_t{std::max(count, 1)} * c.pixels;
      ScriptedRank ranks(backend, {static_cast<int>(rank), static_cast<int>(samples.size()), 0}, exchange);
      RankSlice slice(backend, ranks, count, c.batch);
      const float d_y_factor = static_cast<float>(c.batch) / static_cast<float>(std::max(count, 1));
      NormActInputs inputs = slice_of_inputs(whole, count == 0 ? 0 : first, rows, c.channels, d_y_factor);
      inputs.slice = &slice;
      outputs[rank] = run({rows, c.channels, dtype, c.x_pitch}, inputs);
      CHECK(ranks.calls() == exchange.size());
      first += std::int64_t{count} * c.pixels;
    }
  }
  return outputs;
}

void append(Output& to, const Output& from, double factor) {
  to.dtype = from.dtype;
  for (const double value : from.values) to.values.push_back(value * factor);
}

void add(Output& to, const Output& from, double factor) {
  to.dtype = from.dtype;
  to.values.resize(from.values.size());
  for (std::size_t i = 0; i < from.values.size(); ++i) to.values[i] += factor * from.values[i];
}

/// Cases that can be cut up, with batch statistics and few enough rows.
std::vector<cases::NormActCase> sliced_cases() {
  std::vector<cases::NormActCase> sliced;
  for (const cases::NormActCase& c : cases::norm_act_cases()) {
#if defined(__SANITIZE_THREAD__)  // looks for races, which these have all of, and takes a hundred times as long
    if (!c.units) continue;
#endif
    if (c.rule.batch_statistics && c.batch > 1 && c.batch * c.pixels < 300) sliced.push_back(c);
  }
  REQUIRE(sliced.size() >= 6);
  return sliced;
}

}  // namespace

TEST_CASE("norm_act forward of synchronised slices is that of the whole batch") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const cases::NormActCase& c : sliced_cases()) {
        INFO("case " << c.name << ", " << name_of(dtype));
        const NormActInputs inputs = make_inputs(c, dtype);
        const auto run = [&](const NormActGeometry& geometry, const NormActInputs& of_slice) {
          return run_norm_act_forward(backend, geometry, c.rule, of_slice);
        };
        const std::vector<Outputs> ranks = run_slices(backend, c, dtype, inputs, run);
        Outputs together = ranks.front();
        together["y"] = {};
        for (const std::size_t rank : {std::size_t{0}, std::size_t{1}}) append(together["y"], ranks[rank].at("y"), 1);
        std::vector<std::string> shared;
        if (c.rule.normalize) shared = {"mean", "inv_std", "running_mean", "running_var"};
        if (c.rule.act_bits > 0) shared.push_back("act_scale");
        for (const std::string& name : shared)
          for (const Outputs& rank : ranks) CHECK(rank.at(name).values == together.at(name).values);

        const Outputs expected = run_norm_act_forward(oracle, c.geometry(dtype), c.rule, inputs);
        if (c.rule.act_bits == 0) {
          check_outputs(together, expected);
          continue;
        }
        std::vector<double> levels =
            levels_before_rounding(oracle, c, dtype, inputs, expected.at("act_scale").values[0]);
        const double step = c.units ? 1 : expected.at("act_scale").values[0] / ((1 << c.rule.act_bits) - 1);
        check_outputs_on_grid(together, expected, "y", levels, std::vector<double>(levels.size(), step));
      }
    }
  });
}

TEST_CASE("norm_act backward of synchronised slices is that of the whole batch") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const cases::NormActCase& c : sliced_cases()) {
        INFO("case " << c.name << ", " << name_of(dtype));
        NormActInputs inputs = make_inputs(c, dtype);
        for (float& value : inputs.d_y) value = std::round(8 * value) / 8;  // bf16 holds it times any factor of a slice
        const auto run = [&](const NormActGeometry& geometry, const NormActInputs& of_slice) {
          return run_norm_act_backward(backend, geometry, c.rule, of_slice, kOverwriteBoth);
        };
        const std::vector<Outputs> ranks = run_slices(backend, c, dtype, inputs, run);
        const std::vector<int> samples = slices_of(c.batch);
        Outputs together;
        for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
          const double weight = static_cast<double>(samples[rank]) / c.batch;
          for (const auto& [name, output] : ranks[rank]) {
            if (name == "d_x" || name == "d_shortcut") {
              if (samples[rank] > 0) append(together[name], output, weight);
            } else {
              add(together[name], output, weight);
            }
          }
        }
        const Outputs expected = run_norm_act_backward(oracle, c.geometry(dtype), c.rule, inputs, kOverwriteBoth);
        check_outputs(together, expected, {{"d_x", size_of_d_x_terms(oracle, c, dtype, inputs)}});
      }
    }
  });
}

}  // namespace bsq::test
