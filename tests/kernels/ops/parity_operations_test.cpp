// The whole list of operations: none is without a run, and none differs from the oracle's.
#include "kernels/reference/reference_backend.h"
#include "tests/kernels/ops/parity.h"
#include "tests/support/guarding_backend.h"

#include <algorithm>
#include <set>

namespace bsq::test {
namespace {

/// The names of kernels/ops/operations.def.
std::vector<std::string> operations() {
  return {
#define BSQ_OPERATION(family, name, Args) #name,
#include "kernels/ops/operations.def"
  };
}

/// Notes what it is asked for.
class NotingBackend final : public GuardingBackend {
 public:
  using GuardingBackend::GuardingBackend;
#define BSQ_OPERATION(family, name, Args) \
  void name(const Args& args) override {  \
    called.insert(#name);                 \
    GuardingBackend::name(args);          \
  }
#include "kernels/ops/operations.def"
  std::set<std::string> called;
};

}  // namespace

TEST_CASE("every operation of the list has a run in op_runs_list.cpp, which asks for it") {
  const auto oracle = make_reference_backend();
  const std::vector<OperationRun> runs = operation_runs();
  for (const std::string& operation : operations()) {
    INFO(operation);
    const auto run =
        std::find_if(runs.begin(), runs.end(), [&](const OperationRun& r) { return r.operation == operation; });
    REQUIRE(run != runs.end());
    NotingBackend backend(*oracle);
    CHECK_FALSE(run->run(backend).empty());
    CHECK(backend.called.contains(operation));
  }
  CHECK(operations().size() == runs.size());
}

TEST_CASE("every operation of the list agrees with the oracle") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    for (const OperationRun& run : operation_runs()) {
      INFO(run.operation);
      check_outputs(run_twice([&] { return run.run(backend); }), run.run(oracle));
    }
  });
}

}  // namespace bsq::test
