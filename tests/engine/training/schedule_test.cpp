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

TEST_CASE("a cosine and a linear warm-up give the rates of PyTorch's schedulers") {
  const auto check = [](const StageConfig& stage, const std::vector<double>& expected) {
    for (std::size_t epoch = 0; epoch < expected.size(); ++epoch)
      CHECK(learning_rate(stage, static_cast<int>(epoch)) == Approx(expected[epoch]).epsilon(1e-14));
  };
  // CosineAnnealingLR(T_max=7)
  check({.epochs = 7, .lr = 0.1, .schedule = "cosine", .milestones = {3}},
        {0.1, 0.09504844339512096, 0.08117449009293669, 0.061126046697815725, 0.03887395330218429, 0.018825509907063328,
         0.004951556604879048});
  // LinearLR(start_factor=1/3, total_iters=2), from epoch 3 on CosineAnnealingLR(T_max=5)
  check({.epochs = 8, .lr = 0.1, .schedule = "cosine", .warmup_epochs = 3, .milestones = {}},
        {0.1 / 3, 0.2 / 3, 0.1, 0.1, 0.09045084971874738, 0.06545084971874737, 0.03454915028125263,
         0.009549150281252633});
  // LinearLR(start_factor=1/2, total_iters=1), from epoch 2 on MultiStepLR([2, 4]), which counts from there
  check({.epochs = 8, .lr = 0.1, .warmup_epochs = 2, .milestones = {4, 6}},
        {0.05, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001});
}

}  // namespace bsq
