// Concatenation and dropout: see parity.h. What they write into an empty place is the oracle's bit for bit.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

/// As check_outputs, with no tolerance at all.
void check_same(const Outputs& actual, const Outputs& expected) {
  REQUIRE(actual.size() == expected.size());
  for (const auto& [name, output] : expected) {
    INFO(name);
    CHECK(actual.at(name).values == output.values);
  }
}

template <typename Case, typename Run>
void check_same_by_dtype(const std::vector<Case>& cases, Run&& run) {
  for_each_compared_backend([&](Backend& backend, Backend& oracle) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const Case& c : cases) {
        INFO("case " << c.name << ", " << name_of(dtype));
        const auto inputs = make_inputs(c);
        check_same(run_twice([&] { return run(backend, c, dtype, inputs); }), run(oracle, c, dtype, inputs));
      }
    }
  });
}

TEST_CASE("concatenation is the reference's bit for bit, and touches nothing else") {
  check_same_by_dtype(cases::concat_cases(),
                      [](Backend& backend, const cases::ConcatCase& c, DType dtype, const ConcatInputs& inputs) {
                        Outputs outputs = run_concat_forward(backend, c.geometry(dtype), inputs);
                        outputs.merge(run_concat_backward(backend, c.geometry(dtype), inputs, GradMode::overwrite));
                        return outputs;
                      });
}

TEST_CASE("an added gradient of a concatenation agrees with the reference") {
  check_cases_by_dtype(cases::concat_cases(),
                       [](Backend& backend, const cases::ConcatCase& c, DType dtype, const ConcatInputs& inputs) {
                         return run_concat_backward(backend, c.geometry(dtype), inputs, GradMode::accumulate);
                       });
}

TEST_CASE("dropout is the reference's bit for bit") {
  check_same_by_dtype(cases::dropout_cases(),
                      [](Backend& backend, const cases::DropoutCase& c, DType dtype, const DropoutInputs& inputs) {
                        Outputs outputs = run_dropout_forward(backend, c, dtype, inputs);
                        outputs.merge(run_dropout_backward(backend, c, dtype, inputs, GradMode::overwrite));
                        return outputs;
                      });
}

TEST_CASE("an added gradient of dropout agrees with the reference") {
  check_cases_by_dtype(cases::dropout_cases(),
                       [](Backend& backend, const cases::DropoutCase& c, DType dtype, const DropoutInputs& inputs) {
                         return run_dropout_backward(backend, c, dtype, inputs, GradMode::accumulate);
                       });
}

}  // namespace
}  // namespace bsq::test
