// Augmentation: the gather, crop, flip and normalisation of a batch.
#include "kernels/bf16.h"
#include "kernels/random.h"
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/tolerances.h"

#include <algorithm>

namespace bsq::test {
namespace {

constexpr int images = 12;
constexpr int side = 8;

/// `padding` 0 and no flip: plain normalisation.
cases::AugmentCase augment_case(int padding, bool flip) {
  return {"augment test", 0, images, side, side, padding, flip, images, 0, 0};
}

std::vector<double> image_of(const Outputs& outputs, int position) {
  const std::vector<double>& batch = outputs.at("output").values;
  const auto begin = batch.begin() + position * side * side * 3;
  return {begin, begin + side * side * 3};
}

}  // namespace

TEST_CASE("without crop and flip augment gathers the images in order and normalises them") {
  for_each_backend([](Backend& backend) {
    const cases::AugmentCase c = augment_case(0, false);
    const AugmentRule rule = c.rule();
    const AugmentInputs inputs = make_inputs(c);
    StepInputs step;
    step.first_sample = 4;
    const int batch = 5;
    const Outputs outputs = run_augment(backend, rule, batch, step, DType::f32, inputs);
    for (int i = 0; i < batch; ++i) {
      const std::int32_t row = inputs.rows[static_cast<std::size_t>(step.first_sample + i)];
      CHECK(outputs.at("batch labels").values[static_cast<std::size_t>(i)] ==
            inputs.labels[static_cast<std::size_t>(row)]);
      std::vector<double> expected;
      for (int e = 0; e < side * side * 3; ++e) {
        const auto channel = static_cast<std::size_t>(e % 3);
        const double pixel = inputs.images[static_cast<std::size_t>(row * side * side * 3 + e)] / 255.0;
        expected.push_back((pixel - rule.mean[channel]) / rule.std[channel]);
      }
      const Comparison comparison = compare_scaled(image_of(outputs, i), expected, relative_tolerance(DType::f32));
      INFO(comparison.report());
      CHECK(comparison.ok());
    }
  });
}

TEST_CASE("augment cuts the crop that the sample's draw names out of the padded image, then mirrors it") {
  for_each_backend([](Backend& backend) {
    constexpr int padding = 3;
    const cases::AugmentCase c = augment_case(padding, true);
    const AugmentRule rule = c.rule();
    AugmentInputs inputs = make_inputs(c);
    for (int i = 0; i < images; ++i) inputs.rows[static_cast<std::size_t>(i)] = i;
    StepInputs step;
    step.epoch = 5;
    const Outputs outputs = run_augment(backend, rule, images, step, DType::f32, inputs);
    int flips = 0;
    for (int row = 0; row < images; ++row) {
      constexpr int padded_side = side + 2 * padding;
      std::vector<double> padded(padded_side * padded_side * 3, 0.0);
      for (int e = 0; e < side * side * 3; ++e) {
        const int y = e / (side * 3) + padding;
        const int x = e / 3 % side + padding;
        padded[static_cast<std::size_t>((y * padded_side + x) * 3 + e % 3)] =
            inputs.images[static_cast<std::size_t>(row * side * side * 3 + e)] / 255.0;
      }
      const CropFlip draw = draw_crop_flip(rule.seed, rule.stream, step.epoch,
                                           inputs.samples[static_cast<std::size_t>(row)], padding, true);
      flips += draw.flip;
      std::vector<double> expected;
      for (int y = 0; y < side; ++y) {
        for (int x = 0; x < side; ++x) {
          const int from = draw.flip ? side - 1 - x : x;
          for (std::size_t channel = 0; channel < 3; ++channel) {
            const double pixel =
                padded[static_cast<std::size_t>(((y + draw.top) * padded_side + from + draw.left) * 3) + channel];
            expected.push_back((pixel - rule.mean[channel]) / rule.std[channel]);
          }
        }
      }
      const Comparison comparison = compare_scaled(image_of(outputs, row), expected, relative_tolerance(DType::f32));
      INFO("row " << row << ": " << comparison.report());
      CHECK(comparison.ok());
    }
    CHECK((flips > 0 && flips < images));  // both kinds were seen
  });
}

TEST_CASE(
    "a sample's augmentation depends neither on where it lies nor on its batch, but on its number and the epoch") {
  for_each_backend([](Backend& backend) {
    const cases::AugmentCase c = augment_case(2, true);
    AugmentInputs inputs = make_inputs(c);
    for (int i = 0; i < images; ++i) inputs.rows[static_cast<std::size_t>(i)] = i;
    const Outputs forward = run_augment(backend, c.rule(), images, {}, DType::f32, inputs);
    std::reverse(inputs.rows.begin(), inputs.rows.end());
    std::reverse(inputs.samples.begin(), inputs.samples.end());
    StepInputs step;
    step.first_sample = 3;
    const Outputs reversed = run_augment(backend, c.rule(), 4, step, DType::f32, inputs);
    for (int position = 0; position < 4; ++position) {
      CHECK(image_of(reversed, position) == image_of(forward, images - 1 - 3 - position));
    }
    AugmentInputs moved = inputs;  // each image lies where another one lay
    for (int i = 0; i < images; ++i) {
      const int to = (i + 5) % images, bytes = side * side * 3;
      moved.rows[static_cast<std::size_t>(i)] = (inputs.rows[static_cast<std::size_t>(i)] + 5) % images;
      moved.labels[static_cast<std::size_t>(to)] = inputs.labels[static_cast<std::size_t>(i)];
      std::copy_n(inputs.images.begin() + i * bytes, bytes, moved.images.begin() + to * bytes);
    }
    const Outputs elsewhere = run_augment(backend, c.rule(), 4, step, DType::f32, moved);
    CHECK(elsewhere.at("output").values == reversed.at("output").values);
    CHECK(elsewhere.at("batch labels").values == reversed.at("batch labels").values);
    AugmentInputs others = inputs;  // the same images under other numbers
    for (std::int32_t& sample : others.samples) sample += 1;
    CHECK(run_augment(backend, c.rule(), 4, step, DType::f32, others).at("output").values !=
          reversed.at("output").values);
    step.epoch = 1;
    CHECK(run_augment(backend, c.rule(), 4, step, DType::f32, inputs).at("output").values !=
          reversed.at("output").values);
  });
}

TEST_CASE("augment writes bf16 as the rounded f32") {
  for_each_backend([](Backend& backend) {
    std::string why;
    if (!backend.supports(Precision::bf16, why)) return;
    const cases::AugmentCase c = augment_case(1, true);
    const AugmentInputs inputs = make_inputs(c);
    std::vector<double> expected = run_augment(backend, c.rule(), images, {}, DType::f32, inputs).at("output").values;
    for (double& value : expected) value = to_float(to_bfloat16(static_cast<float>(value)));
    CHECK(run_augment(backend, c.rule(), images, {}, DType::bf16, inputs).at("output").values == expected);
  });
}

}  // namespace bsq::test
