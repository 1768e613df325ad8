// The learning rate of each epoch.
#include "engine/training/schedule.h"

#include "tests/support/catch.h"

namespace bsq {

TEST_CASE("the learning rate is multiplied by gamma from each milestone on") {
  const StageConfig stage{.epochs = 350, .lr = 0.1, .milestones = {150, 250, 325}, .gamma = 0.1};
  const auto rate = [&](int epoch) { return learning_rate(stage, epoch); };
  CHECK(rate(0) == 0.1);
  CHECK(rate(149) == 0.1);
  CHECK(rate(150) == Approx(0.01));
  CHECK(rate(249) == Approx(0.01));
  CHECK(rate(250) == Approx(0.001));
  CHECK(rate(324) == Approx(0.001));
  CHECK(rate(325) == Approx(0.0001));
  CHECK(rate(349) == Approx(0.0001));
}

TEST_CASE("a schedule without milestones is constant, and one may begin at epoch 0") {
  CHECK(learning_rate({.lr = 0.3, .milestones = {}}, 1000) == 0.3);
  CHECK(learning_rate({.lr = 0.5, .milestones = {0}, .gamma = 0.5}, 0) == 0.25);
  CHECK(learning_rate({.lr = 1, .milestones = {2, 2}, .gamma = 0.5}, 2) == 0.25);  // twice at once
}

}  // namespace bsq
