#include "engine/methods/bsq/budget_controller.h"

#include "engine/files/json.h"
#include "engine/model/levels.h"
#include "kernels/types.h"

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

// Found on a small network (40 epochs): bits are so steep in alpha that less than an answer in every epoch overshoots.
// Alpha only gives way: a stronger one than was asked for empties planes in an avalanche, and the accuracy with them.
constexpr double kPlannedShare = 0.8;
constexpr double kErrorGain = 2;
constexpr double kIntegralGain = 20;  // over all epochs of the stage
constexpr double kLeastIntegral = -6;
constexpr double kLeastExponent = -3;  // alpha down to a 20th
constexpr double kMostBehind = 0.25;   // bits per weight: so few planes at a time that training makes up for them

double number_in(const nlohmann::json& state, const char* key, double low, double high) {
  const nlohmann::json& value = state.at(key);
  if (!value.is_number() || !(value.get<double>() >= low && value.get<double>() <= high))
    throw JsonError(std::string(key) + " is out of range");
  return value.get<double>();
}

}  // namespace

double planned_epochs(const StageConfig& stage) {
  double high_rate = stage.epochs;
  if (stage.schedule == "cosine")
    high_rate = stage.warmup_epochs + 0.5 * (stage.epochs - stage.warmup_epochs);
  else if (!stage.milestones.empty())
    high_rate = std::min(stage.milestones.front(), stage.epochs);
  return std::max(1.0, kPlannedShare * high_rate);
}

BudgetController::BudgetController(double most_alpha, const StageConfig& stage)
    : most_alpha_(most_alpha), epochs_(std::max(stage.epochs, 1)), planned_epochs_(bsq::planned_epochs(stage)) {}

double BudgetController::planned_bits(int epochs) const {
  const double left = std::max(0.0, 1 - epochs / planned_epochs_);
  return target_ + std::max(0.0, start_bits_ - target_) * left * left;
}

void BudgetController::measure(int epoch, double bits, double target) {
  target_ = target;
  if (start_bits_ == 0) start_bits_ = bits;
  epoch_ = epoch;
  bits_ = bits;
  error_ = std::log(bits / planned_bits());
  integral_ = std::clamp(integral_ + error_, kLeastIntegral, 0.0);
}

bool BudgetController::is_behind() const {
  return bits_ > planned_bits() + (ends() ? 0 : kMostBehind);
}

double BudgetController::alpha() const {
  if (is_met_) return 0;
  const double exponent = kErrorGain * error_ + kIntegralGain / epochs_ * integral_;
  return most_alpha_ * std::exp(std::clamp(exponent, kLeastExponent, 0.0));
}

nlohmann::json BudgetController::state() const {
  if (epoch_ < 0 && !is_met_) return nullptr;
  return {{"epoch", epoch_}, {"is_met", is_met_}, {"start_bits", start_bits_},
          {"bits", bits_},   {"error", error_},   {"integral", integral_}};
}

void BudgetController::restore(const nlohmann::json& state) {
  constexpr double kMostError = 3;  // ln(8) is 2.1
  epoch_ = json_count(state.at("epoch"), epochs_);
  is_met_ = state.at("is_met").get<bool>();
  start_bits_ = number_in(state, "start_bits", 1, kMaxBits);
  bits_ = number_in(state, "bits", 1, kMaxBits);
  error_ = number_in(state, "error", -kMostError, kMostError);
  integral_ =
      std::min(number_in(state, "integral", kLeastIntegral, -kLeastIntegral), 0.0);  // above 0 of older versions
}

}  // namespace bsq
