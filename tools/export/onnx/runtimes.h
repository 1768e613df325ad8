// What runtimes want of a deployed model, as a table: which of the equal ways to write it they run in integers.
#pragma once

#include "engine/deployed/deploy.h"
#include "engine/deployed/deployed_run.h"

#include <span>
#include <string_view>

namespace bsq {

struct Runtime {
  const char* name;
  const char* meaning;
  Arithmetic arithmetic;
  ByteKind bytes;
};

/// The graph of a network as it was trained, of which runtimes compute most in float32.
inline constexpr std::string_view kReferenceRuntime = "reference";

/// The first is the one that is taken if nobody says.
std::span<const Runtime> runtimes();
/// Null if there is none of that name.
const Runtime* find_runtime(std::string_view name);

}  // namespace bsq
