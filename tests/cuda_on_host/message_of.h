// What an Error(device) says.
#pragma once

#include "kernels/base/error.h"
#include "tests/support/catch.h"

#include <string>

namespace bsq::test {

/// Of the Error(device) that `call` must throw.
template <typename Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.exit_code() == 5);
    return error.what();
  }
  FAIL("nothing was thrown");
  return {};
}

}  // namespace bsq::test
