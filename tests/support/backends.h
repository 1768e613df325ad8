// The backends this build has. The first is the oracle; every other is compared with it.
#pragma once

#include "kernels/reference.h"

#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <vector>

namespace bsq::test {

inline std::vector<std::unique_ptr<Backend>> other_backends() {
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(make_backend("cpu", {}));
  return backends;
}

inline std::vector<std::unique_ptr<Backend>> all_backends() {
  std::vector<std::unique_ptr<Backend>> backends = other_backends();
  backends.insert(backends.begin(), make_reference_backend());
  return backends;
}

/// Calls `check(backend)` for every backend, its name in the report of a failure.
template <typename Check>
void for_each_backend(Check&& check) {
  for (const auto& backend : all_backends()) {
    INFO("backend " << backend->name());
    check(*backend);
  }
}

/// f32, and bf16 where the backend has it.
inline std::vector<DType> activation_dtypes(const Backend& backend) {
  std::vector<DType> dtypes;
  std::string why;
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    if (backend.supports(precision, why)) dtypes.push_back(dtype_of(precision));
  }
  return dtypes;
}

}  // namespace bsq::test
