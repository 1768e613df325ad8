// mixup and CutMix: which images meet, what becomes of their pixels, and what their labels cost.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/tolerances.h"

namespace bsq::test {
namespace {

/// Images of 1x2 pixels.
std::vector<double> mixed_images(Backend& backend, const BatchMix& mix, const std::vector<float>& images) {
  const cases::MixCase c{"by hand", 0, static_cast<int>(images.size() / 6), 1, 2, mix};
  return run_mix(backend, c, DType::f32, {images}).at("images").values;
}

const std::vector<float> kThreeImages = {0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 24, 25};

}  // namespace

TEST_CASE("mixup averages each image with that of the batch in reverse, by the weight of the step") {
  for_each_backend([](Backend& backend) {
    CHECK(mixed_images(backend, {.weight = 0.75F}, kThreeImages) ==
          std::vector<double>{5, 6, 7, 8, 9, 10, 10, 11, 12, 13, 14, 15, 15, 16, 17, 18, 19, 20});
    const std::vector<double> same(kThreeImages.begin(), kThreeImages.end());
    CHECK(mixed_images(backend, {}, kThreeImages) == same);
    CHECK(mixed_images(backend, {.weight = 0.5F}, {1, 2, 3, 4, 5, 6}) == std::vector<double>{1, 2, 3, 4, 5, 6});
  });
}

TEST_CASE("CutMix changes the pixels of the box, and no others, whatever the weight") {
  for_each_backend([](Backend& backend) {
    const BatchMix right{.weight = 0.5F, .cuts = 1, .top = 0, .left = 1, .height = 1, .width = 1};
    CHECK(mixed_images(backend, right, kThreeImages) ==
          std::vector<double>{0, 1, 2, 23, 24, 25, 10, 11, 12, 13, 14, 15, 20, 21, 22, 3, 4, 5});
    const std::vector<double> same(kThreeImages.begin(), kThreeImages.end());
    CHECK(mixed_images(backend, {.weight = 1, .cuts = 1, .top = 0, .left = 2, .height = 0, .width = 0}, kThreeImages) ==
          same);
  });
}

TEST_CASE("the loss of mixed images is PyTorch's of targets that are mixed alike") {
  // z.grad and twice the mean of F.cross_entropy(z, w onehot + (1 - w) onehot.flip(0), label_smoothing=eps)
  struct Expected {
    float weight, smoothing;
    double loss_sum;
    std::vector<double> d_logits;
  };
  const std::vector<Expected> table = {
      {0.7F,
       0,
       3.23392631,
       {0.0552768752, -0.147247932, 0.0335271196, 0.0584439376, 0.0497960307, -0.286060625, 0.0183189359, 0.217945658}},
      {0.25F,
       0.1F,
       4.68392627,
       {0.042776875, -0.347247926, 0.0210271194, 0.283443932, 0.0372960305, -0.0610606309, 0.00581893576,
        0.0179456647}}};
  for_each_backend([&](Backend& backend) {
    for (const auto& [weight, smoothing, loss_sum, d_logits] : table) {
      INFO("weight " << weight);
      LossInputs inputs{{1, -2, 0.5F, 3, 0, 0.25F, -1, 2}, {3, 1}, smoothing};
      inputs.mixed_weight = weight;
      const Outputs outputs = run_loss(backend, 2, 4, false, inputs);
      CHECK(outputs.at("loss_sum").values[1] == Approx(loss_sum).epsilon(relative_tolerance(DType::f32)));
      CHECK(compare_scaled(outputs.at("d_logits").values, d_logits, relative_tolerance(DType::f32)).ok());
      CHECK(outputs.at("counts").values[3] == 1);  // of an image's own label
    }
  });
}

TEST_CASE("mixed with images of the same class, a loss is what it is without") {
  for_each_backend([](Backend& backend) {
    LossInputs inputs{{1, -2, 0.5F, 3, 0, 0.25F, -1, 2}, {2, 2}, 0.1F};
    const Outputs plain = run_loss(backend, 2, 4, false, inputs);
    inputs.mixed_weight = 0.3F;
    const Outputs same = run_loss(backend, 2, 4, false, inputs);
    CHECK(compare_scaled(same.at("d_logits").values, plain.at("d_logits").values, relative_tolerance(DType::f32)).ok());
    CHECK(same.at("loss_sum").values[1] ==
          Approx(plain.at("loss_sum").values[1]).epsilon(relative_tolerance(DType::f64)));
  });
}

}  // namespace bsq::test
