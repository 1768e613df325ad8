// What a checkpoint says of how far a run has come.
#include "engine/run/progress.h"

#include "kernels/base/error.h"
#include "tests/support/catch.h"

namespace bsq::test {

TEST_CASE("the state of a method comes back from a checkpoint bit for bit, and there may be none") {
  Progress progress;
  progress.method = {{"epoch", 3}, {"strength", 0.1 + 0.2}, {"is_met", false}};
  const nlohmann::json written = nlohmann::json::parse(to_json(progress).dump());
  const Progress read = progress_from_json(written, "here");
  CHECK(read.method == progress.method);
  CHECK(read.method.at("strength").get<double>() == 0.1 + 0.2);

  nlohmann::json of_older_version = written;
  of_older_version.erase("method");
  CHECK(progress_from_json(of_older_version, "here").method.is_null());
  CHECK_FALSE(to_json(Progress{}).contains("method"));
}

}  // namespace bsq::test
