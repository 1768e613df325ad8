// The controller of a budget of bits, against a plant that answers as BSQ's trainings did: late, and steeply; planes go
// where it says so.
#include "engine/methods/bsq/budget_controller.h"

#include "tests/support/catch.h"

#include <cmath>

namespace bsq::test {
namespace {

/// 40 epochs, rate / 10 at 29.
StageConfig plant_stage() {
  StageConfig stage;
  stage.epochs = 40;
  stage.milestones = {29};
  return stage;
}

/// Bits fall with the mean of alpha over some epochs, the slower the fewer there are, and hardly once the rate is low.
/// With a constant alpha of 0.02, 0.05 and 0.1 trainings came to 5.45, 2.58 and 1.49 bits, this to 5.0, 2.7 and 1.4.
struct Plant {
  double bits = 8;
  double pressure = 0;
  double delay = 4;  // epochs

  void train(int epoch, double alpha) {
    pressure += (alpha - pressure) / delay;
    bits -= (epoch < plant_stage().milestones[0] ? 1.033 : 0.1033) * pressure * (bits - 1);
  }
};

struct PlantEnd {
  double bits = 0;
  int epoch = 0;  // in which the budget was met; the last one: it was not
};

PlantEnd run_plant(double target, double most_alpha, double delay) {
  Plant plant{.delay = delay};
  BudgetController controller(most_alpha, plant_stage());
  for (int epoch = 0; epoch < plant_stage().epochs; ++epoch) {
    controller.measure(epoch, plant.bits, target);
    if (plant.bits <= target) return {plant.bits, epoch};
    CHECK(controller.alpha() >= most_alpha * std::exp(-3.0));
    CHECK(controller.alpha() <= most_alpha);
    if (controller.is_behind()) plant.bits = controller.planned_bits();
    if (controller.ends()) return {plant.bits, epoch};
    plant.train(epoch, controller.alpha());
  }
  return {plant.bits, plant_stage().epochs};
}

}  // namespace

TEST_CASE("the plan of a budget ends before the learning rate falls") {
  StageConfig stage;
  stage.epochs = 100;
  stage.milestones = {50, 75};
  CHECK(planned_epochs(stage) == Approx(40));
  stage.milestones = {};
  CHECK(planned_epochs(stage) == Approx(80));
  stage.milestones = {200};
  CHECK(planned_epochs(stage) == Approx(80));
  stage.schedule = "cosine";
  CHECK(planned_epochs(stage) == Approx(40));  // half of the rate at epoch 50
  stage.warmup_epochs = 20;
  CHECK(planned_epochs(stage) == Approx(48));  // at 60
  stage.epochs = 1;
  stage.warmup_epochs = 0;
  CHECK(planned_epochs(stage) == Approx(1));
}

TEST_CASE("the planned bits are a parabola from those at the start down to the budget") {
  StageConfig stage;
  stage.epochs = 20;
  stage.milestones = {10};
  BudgetController controller(0.1, stage);
  controller.measure(0, 7, 3);
  CHECK(controller.planned_bits(0) == Approx(7));
  CHECK(controller.planned_bits(4) == Approx(4));
  CHECK(controller.planned_bits(8) == Approx(3));
  CHECK(controller.planned_bits(20) == Approx(3));
}

TEST_CASE("alpha is what was asked for unless training is ahead of the plan, and then gives way") {
  StageConfig stage;
  stage.epochs = 20;
  stage.milestones = {10};
  BudgetController controller(0.1, stage);
  controller.measure(0, 7, 3);
  const double planned = 3 + 4 * std::pow(7.0 / 8, 2);
  CHECK(controller.planned_bits() == Approx(planned));
  CHECK(controller.error() == Approx(std::log(7 / planned)));
  CHECK(controller.integral() == 0);  // what is behind is not remembered
  CHECK(controller.alpha() == 0.1);
  // error = ln(bits / plan at the end of the epoch), alpha = 0.1 exp(2 error + integral 20 / 20).
  controller.measure(1, 4, 3);
  const double ahead = std::log(4 / (3 + 4 * std::pow(6.0 / 8, 2)));
  REQUIRE(ahead < 0);
  CHECK(controller.integral() == Approx(ahead));
  CHECK(controller.alpha() == Approx(0.1 * std::exp(3 * ahead)));
  controller.measure(2, 4, 3);
  const double less = std::log(4 / (3 + 4 * std::pow(5.0 / 8, 2)));
  CHECK(controller.integral() == Approx(ahead + less));
  CHECK(controller.alpha() == Approx(0.1 * std::exp(2 * less + ahead + less)));
  controller.set_met();
  CHECK(controller.alpha() == 0);
}

TEST_CASE("training is behind by more than a quarter of a bit, and by anything once the plan has ended") {
  StageConfig stage;
  stage.epochs = 20;
  stage.milestones = {10};
  BudgetController controller(0.1, stage);
  controller.measure(0, 7, 3);
  controller.measure(3, 4.24, 3);  // 4 planned
  CHECK_FALSE(controller.is_behind());
  controller.measure(3, 4.26, 3);
  CHECK(controller.is_behind());
  controller.measure(6, 3.05, 3);
  CHECK_FALSE(controller.ends());
  CHECK_FALSE(controller.is_behind());
  controller.measure(7, 3.05, 3);
  CHECK(controller.ends());
  CHECK(controller.is_behind());
}

TEST_CASE("the plant answers to a constant alpha as trainings did") {
  const auto bits_of = [](double alpha) {
    Plant plant;
    for (int epoch = 0; epoch < plant_stage().epochs; ++epoch) plant.train(epoch, alpha);
    return plant.bits;
  };
  CHECK(std::abs(bits_of(0.02) - 5.45) < 0.5);
  CHECK(std::abs(bits_of(0.05) - 2.58) < 0.2);
  CHECK(std::abs(bits_of(0.1) - 1.49) < 0.2);
}

TEST_CASE("a budget is met before the rate falls and missed by little, from strengths 20 times apart") {
  for (const double delay : {1.0, 3.0, 5.0})
    for (const double target : {4.0, 3.0, 2.5, 2.0})
      for (const double start_alpha : {0.01, 0.05, 0.2}) {
        INFO("delay " << delay << ", target " << target << ", alpha at most " << start_alpha);
        const PlantEnd outcome = run_plant(target, start_alpha, delay);
        CHECK(outcome.epoch < plant_stage().milestones[0]);
        CHECK(outcome.bits <= target);
        CHECK(outcome.bits > target - 0.25);
      }
}

TEST_CASE("without an integral that ends somewhere a training far ahead would leave alpha low for good") {
  BudgetController controller(0.02, plant_stage());
  controller.measure(0, 8, 2);
  for (int epoch = 1; epoch < 20; ++epoch) controller.measure(epoch, 2.1, 2);
  CHECK(controller.integral() == -6);
  CHECK(controller.alpha() == Approx(0.02 * std::exp(-3.0)));
}

TEST_CASE("a controller goes on from its state bit for bit, and refuses what is none") {
  BudgetController straight(0.03, plant_stage());
  CHECK(straight.state().is_null());
  straight.measure(0, 8, 3);
  straight.measure(1, 5.5, 3);
  BudgetController resumed(0.03, plant_stage());
  resumed.restore(nlohmann::json::parse(straight.state().dump()));
  CHECK(resumed.has_measured(1));
  CHECK_FALSE(resumed.has_measured(2));
  CHECK(resumed.alpha() == straight.alpha());
  straight.measure(2, 5.3, 3);
  resumed.measure(2, 5.3, 3);
  CHECK(resumed.alpha() == straight.alpha());
  CHECK(resumed.state() == straight.state());

  nlohmann::json older = straight.state();  // of versions whose alpha could grow
  older["integral"] = 5.5;
  resumed.restore(older);
  CHECK(resumed.integral() == 0);

  const nlohmann::json good = straight.state();
  for (const auto& [key, value] : good.items()) {
    INFO(key);
    nlohmann::json without = good;
    without.erase(key);
    CHECK_THROWS_AS(resumed.restore(without), nlohmann::json::exception);
    for (const nlohmann::json& wrong : {nlohmann::json("x"), nlohmann::json(-100), nlohmann::json(1e300)}) {
      nlohmann::json damaged = good;
      damaged[key] = wrong;
      CHECK_THROWS_AS(resumed.restore(damaged), nlohmann::json::exception);
    }
  }
  CHECK_THROWS_AS(resumed.restore(7), nlohmann::json::exception);
}

}  // namespace bsq::test
