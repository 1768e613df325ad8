// Softmax cross entropy: known values, the rule for ties, and what does not fit in a float.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/tolerances.h"

#include <cmath>
#include <limits>

namespace bsq::test {
namespace {

/// top1, top5 and samples of the slot the operator was told to write.
using Counts = std::vector<double>;
Counts counts_of(const Outputs& outputs) {
  const std::vector<double>& counts = outputs.at("counts").values;
  return {counts[3], counts[4], counts[5]};
}

Outputs one_row(Backend& backend, const std::vector<float>& logits, std::int32_t label) {
  return run_loss(backend, 1, static_cast<int>(logits.size()), false, {logits, {label}});
}

}  // namespace

TEST_CASE("equal logits cost log(classes) and pull towards the label") {
  for_each_backend([](Backend& backend) {
    const Outputs outputs = run_loss(backend, 2, 4, false, {{1, 1, 1, 1, -3, -3, -3, -3}, {0, 3}});
    CHECK(outputs.at("loss_sum").values[1] == Approx(2 * std::log(4.0)).epsilon(relative_tolerance(DType::f64)));
    CHECK(outputs.at("d_logits").values ==
          std::vector<double>{-0.375, 0.125, 0.125, 0.125, 0.125, 0.125, 0.125, -0.375});  // (1/4 - onehot) / 2
  });
}

TEST_CASE("of equal logits the earlier comes first") {
  for_each_backend([](Backend& backend) {
    const std::vector<float> equal(10, 2.0F);
    CHECK(counts_of(one_row(backend, equal, 0)) == Counts{1, 1, 1});
    CHECK(counts_of(one_row(backend, equal, 1)) == Counts{0, 1, 1});
    CHECK(counts_of(one_row(backend, equal, 4)) == Counts{0, 1, 1});
    CHECK(counts_of(one_row(backend, equal, 5)) == Counts{0, 0, 1});
    CHECK(counts_of(one_row(backend, {1, 3, 2, 3}, 1)) == Counts{1, 1, 1});
    CHECK(counts_of(one_row(backend, {1, 3, 2, 3}, 3)) == Counts{0, 1, 1});
  });
}

TEST_CASE("a row with a NaN never counts, and the loss says so") {
  for_each_backend([](Backend& backend) {
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    for (const std::vector<float>& logits :
         {std::vector<float>{nan, 1, 2}, {5, nan, 2}, {5, 1, nan}, {nan, nan, nan}}) {
      for (const std::int32_t label : {0, 1, 2}) {
        const Outputs outputs = one_row(backend, logits, label);
        CHECK(counts_of(outputs) == Counts{0, 0, 1});
        CHECK(std::isnan(outputs.at("loss_sum").values[1]));
      }
    }
  });
}

TEST_CASE("large logits do not overflow") {
  for_each_backend([](Backend& backend) {
    const Outputs outputs = one_row(backend, {1e4F, -1e4F, 0}, 1);
    CHECK(outputs.at("loss_sum").values[1] == Approx(2e4).epsilon(relative_tolerance(DType::f64)));
    CHECK(outputs.at("d_logits").values == std::vector<double>{1, -1, 0});
  });
}

TEST_CASE("with label smoothing, loss and gradient are those of PyTorch's CrossEntropyLoss") {
  // z.grad after F.cross_entropy(z, torch.tensor([3, 1]), label_smoothing=eps).backward(), and twice that mean
  struct Expected {
    float smoothing;
    double loss_sum;
    std::vector<double> d_logits;
  };
  const std::vector<Expected> table = {{0.1F,
                                        2.4901762,
                                        {0.042776864, -0.00974792615, 0.0210271105, -0.0540560745, 0.0372960232,
                                         -0.398560613, 0.00581893371, 0.355445623}},
                                       {0.5F,
                                        3.41517615,
                                        {-0.007223133, -0.0597479269, -0.0289728865, 0.0959439278, -0.0127039701,
                                         -0.248560637, -0.0441810638, 0.305445671}},
                                       {1,
                                        4.57142591,
                                        {-0.0697231293, -0.122247927, -0.0914728865, 0.283443928, -0.0752039701,
                                         -0.0610606298, -0.106681064, 0.242945671}}};
  for_each_backend([&](Backend& backend) {
    for (const auto& [smoothing, loss_sum, d_logits] : table) {
      INFO("smoothing " << smoothing);
      const LossInputs inputs{{1, -2, 0.5F, 3, 0, 0.25F, -1, 2}, {3, 1}, smoothing};
      const Outputs outputs = run_loss(backend, 2, 4, false, inputs);
      CHECK(outputs.at("loss_sum").values[1] == Approx(loss_sum).epsilon(relative_tolerance(DType::f32)));
      CHECK(compare_scaled(outputs.at("d_logits").values, d_logits, relative_tolerance(DType::f32)).ok());
      CHECK(counts_of(outputs) == Counts{1, 2, 2});
    }
  });
}

TEST_CASE("with a teacher, loss and gradient are those of PyTorch's kl_div beside cross entropy") {
  // z.grad and twice the mean of (1 - w) F.cross_entropy(z, y, label_smoothing=eps) + w T^2 F.kl_div(
  //   F.log_softmax(z / T, 1), F.log_softmax(teacher / T, 1), log_target=True, reduction="batchmean")
  struct Expected {
    float weight, temperature, smoothing;
    double loss_sum;
    std::vector<double> d_logits;
  };
  const std::vector<Expected> table = {
      {0.5F,
       4,
       0,
       2.03029418,
       {0.0686899722, -0.0240922682, -0.0665023029, 0.0219044983, -0.153164476, -0.170323253, 0.0155057535,
        0.307981968}},
      {0.9F,
       2,
       0.1F,
       1.99672973,
       {0.0522631332, -0.0258298069, -0.151465699, 0.125032336, -0.341351151, 0.0332050547, 0.011975999, 0.296170145}},
      {1,
       1,
       0,
       1.81119347,
       {0.0170910731, -0.00576832891, -0.13760975, 0.126286954, -0.36161834, 0.0434562527, 0.00589529984, 0.312266767}},
      {0.25F,
       0.5F,
       0,
       1.98325801,
       {0.0417490862, 0.00202573603, 0.008980304, -0.0527551435, -0.022735972, -0.325401336, 0.0138308257,
        0.334306479}}};
  for_each_backend([&](Backend& backend) {
    for (const auto& [weight, temperature, smoothing, loss_sum, d_logits] : table) {
      INFO("weight " << weight << ", temperature " << temperature);
      const LossInputs inputs{.logits = {1, -2, 0.5F, 3, 0, 0.25F, -1, 2},
                              .labels = {3, 1},
                              .label_smoothing = smoothing,
                              .teacher = {0.5F, -1, 2, 2.5F, 3, 0, -0.5F, 1},
                              .teacher_weight = weight,
                              .temperature = temperature};
      const Outputs outputs = run_loss(backend, 2, 4, false, inputs);
      CHECK(outputs.at("loss_sum").values[1] == Approx(loss_sum).epsilon(relative_tolerance(DType::f32)));
      CHECK(compare_scaled(outputs.at("d_logits").values, d_logits, relative_tolerance(DType::f32)).ok());
      CHECK(counts_of(outputs) == Counts{1, 2, 2});  // of the labels, whoever teaches
    }
  });
}

TEST_CASE("a teacher who says what the model says adds nothing, a certain one all of it, one who is no number a NaN") {
  for_each_backend([](Backend& backend) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    LossInputs inputs{.logits = {1, -2, 0.5F}, .labels = {1}, .teacher_weight = 1, .temperature = 3};
    inputs.teacher = inputs.logits;
    Outputs outputs = run_loss(backend, 1, 3, false, inputs);
    CHECK(std::abs(outputs.at("loss_sum").values[1]) < 1e-12);
    for (const double d : outputs.at("d_logits").values) CHECK(std::abs(d) < 1e-12);

    inputs.logits = {2, 2, -infinity};  // what cannot be costs nothing where the teacher knows it
    inputs.teacher = {5, -infinity, -infinity};
    inputs.temperature = 1;
    outputs = run_loss(backend, 1, 3, false, inputs);
    CHECK(std::isnan(outputs.at("loss_sum").values[1]) == false);
    CHECK(outputs.at("loss_sum").values[1] == Approx(std::log(2.0)).epsilon(relative_tolerance(DType::f64)));
    CHECK(outputs.at("d_logits").values == std::vector<double>{-0.5, 0.5, 0});

    inputs.teacher = {std::numeric_limits<float>::quiet_NaN(), 0, 0};
    CHECK(std::isnan(run_loss(backend, 1, 3, false, inputs).at("loss_sum").values[1]));
  });
}

TEST_CASE("a class that cannot be costs nothing without label smoothing, and everything with it") {
  for_each_backend([](Backend& backend) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    LossInputs inputs{{1, -infinity, 1}, {0}, 0};
    const Outputs plain = run_loss(backend, 1, 3, false, inputs);
    CHECK(plain.at("loss_sum").values[1] == Approx(std::log(2.0)).epsilon(relative_tolerance(DType::f64)));
    CHECK(plain.at("d_logits").values == std::vector<double>{-0.5, 0, 0.5});
    inputs.label_smoothing = 0.25F;
    CHECK(run_loss(backend, 1, 3, false, inputs).at("loss_sum").values[1] == HUGE_VAL);
  });
}

TEST_CASE("the loss writes its own slot and leaves the penalty and the other slots alone") {
  for_each_backend([](Backend& backend) {
    for (const cases::LossCase& c : cases::loss_cases()) {
      INFO(c.name);
      const Outputs outputs = run_loss(backend, c.batch, c.classes, c.evaluation, make_inputs(c));
      CHECK(outputs.at("penalty").values == std::vector<double>(3, 2.5));
      CHECK(outputs.at("loss_sum").values[0] == 1.5);
      CHECK(outputs.at("loss_sum").values[2] == 1.5);
      CHECK(counts_of(outputs)[2] == c.batch);
    }
  });
}

}  // namespace bsq::test
