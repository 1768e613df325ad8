// What cuDNN would run on a GPU, asked without one: it plans for a device that is described to it.
//
// Engines that are compiled when they are planned drop out where there is no driver, so that a machine with a GPU may
// find more than is found here, never less.
#include "bench/large_cases.h"
#include "kernels/cuda/vendor/convolution_plans.h"
#include "kernels/planned_passes.h"
#include "tests/support/catch.h"
#include "tests/support/cudnn/plans.h"

namespace bsq::cuda {
namespace {

using cases::ConvCase;
using test::bytes_of;
using test::check_plans;
using test::Gpu;
using test::kGpus;
using test::plan;
using test::planner_for;

/// A batch and a precision in which a case is planned.
struct Setting {
  int batch;
  DType dtype;
  bool allow_tf32;
};

constexpr Setting kSettings[] = {
    {128, DType::f32, false}, {128, DType::f32, true}, {128, DType::bf16, false}, {512, DType::bf16, false}};

std::vector<ConvCase> layers_of_networks() {
  std::vector<ConvCase> layers;
  for (const ConvCase& c : cases::conv_cases())
    if (c.layers > 0) layers.push_back(c);
  for (const ConvCase& c : cases::large_conv_cases()) layers.push_back(c);
  return layers;
}

/// The first engine that cuDNN names for a filter gradient and that is exact enough.
std::optional<std::int64_t> first_of_heuristics(const CudnnTarget& target, const ConvGeometry& geometry,
                                                bool allow_tf32) {
  const auto graph = ConvGraph::of(target, geometry, ConvPass::backward_weight);
  if (!graph) return std::nullopt;
  for (const ConvEngine& engine : graph->named_by(CUDNN_HEUR_MODE_A))
    if (is_exact_enough(engine.numerics, DType::f32, allow_tf32)) return engine.index;
  return std::nullopt;
}

std::vector<ConvGeometry> layers_of_resnet20(DType dtype) {
  std::vector<ConvGeometry> layers;
  for (ConvCase c : cases::conv_cases()) {
    if (c.layers == 0) continue;
    c.batch = 128;
    layers.push_back(c.geometry(dtype));
  }
  return layers;
}

}  // namespace

TEST_CASE("cuDNN has an engine for every pass of every layer, in every precision") {
  for (const Gpu& gpu : kGpus) {
    INFO(gpu.name);
    for (const ConvCase& c : layers_of_networks()) {
      for (const Setting& setting : kSettings) {
        ConvGeometry geometry = c.geometry(setting.dtype);
        geometry.batch = setting.batch;
        check_plans(gpu, geometry, setting.allow_tf32);
      }
    }
  }
}

TEST_CASE("cuDNN has an engine for every small convolution that the operators are tested with") {
  for (const Gpu& gpu : kGpus) {
    INFO(gpu.name);
    for (const ConvCase& c : cases::conv_cases()) {
      for (const DType dtype : {DType::f32, DType::bf16}) check_plans(gpu, c.geometry(dtype), false);
      check_plans(gpu, c.geometry(DType::f32), true);
    }
  }
}

TEST_CASE("filter gradients of groups are by the heuristics' first, which is made for them, in tf32 as well") {
  const CudnnTarget target(kGpus.front().json());
  int depthwise = 0;
  for (ConvCase c : layers_of_networks()) {
    if (c.groups == 1) continue;
    c.batch = 128;
    const ConvGeometry geometry = c.geometry(DType::f32);
    INFO(describe(geometry));
    const std::optional<std::int64_t> first = first_of_heuristics(target, geometry, /*allow_tf32=*/true);
    const auto taken = find_plan(target, geometry, ConvPass::backward_weight,
                                 {.allow_tf32 = true, .most_workspace_bytes = std::size_t{1} << 28, .accepts = {}});
    REQUIRE(taken.has_value());
    CHECK(taken->engine().index == first);
    if (c.groups < c.in_channels) continue;
    ++depthwise;
    CHECK(taken->workspace_bytes() < bytes_of(geometry.input_shape(), DType::f32) / 2);  // sums, and no copies
  }
  CHECK(depthwise > 0);
}

TEST_CASE("the filter gradient of bf16 tensors is computed from widened ones, whatever cuDNN has for the narrow ones") {
  int tried = 0;
  ConvolutionPlanner planner(CudnnTarget(kGpus.front().json()), false,
                             [&](const ConvGeometry& geometry, ConvPass pass, const ConvPlan&) {
                               if (pass != ConvPass::backward_weight) return true;
                               CHECK(geometry.dtype == DType::f32);
                               return ++tried > 1;  // the engines after the first read float32, too
                             });
  for (const ConvGeometry& geometry : layers_of_resnet20(DType::bf16)) {
    INFO(describe(geometry));
    tried = 0;
    plan(planner, geometry);
    CHECK(tried >= 2);
    CHECK(planner.find(geometry, ConvPass::backward_weight).widens_operands);
    CHECK_FALSE(planner.find(geometry, ConvPass::forward).widens_operands);
    CHECK_FALSE(planner.find(geometry, ConvPass::backward_data).widens_operands);
  }
  CHECK(planner.notes() == std::vector<std::string>{});
}

TEST_CASE("the filter gradients of widened operands are by the engines of tf32's") {
  for (const Gpu& gpu : kGpus) {
    INFO(gpu.name);
    ConvolutionPlanner bf16 = planner_for(gpu);
    ConvolutionPlanner tf32 = planner_for(gpu, /*allow_tf32=*/true);
    for (const ConvGeometry& geometry : layers_of_resnet20(DType::f32)) {
      INFO(describe(geometry));
      ConvGeometry narrow = geometry;
      narrow.dtype = DType::bf16;
      plan(bf16, narrow);
      plan(tf32, geometry);
      const ConvPlan& widened = *bf16.find(narrow, ConvPass::backward_weight).plan;
      const ConvPlan& taken = *tf32.find(geometry, ConvPass::backward_weight).plan;
      CHECK(widened.engine().index == taken.engine().index);
      CHECK(widened.workspace_bytes() == taken.workspace_bytes());
    }
  }
}

TEST_CASE("filter gradients in tf32 are on tensor cores, which copy no operand where there are 32 channels") {
  ConvolutionPlanner planner = planner_for(kGpus.front(), /*allow_tf32=*/true);
  for (const ConvGeometry& geometry : layers_of_resnet20(DType::f32)) {
    INFO(describe(geometry));
    plan(planner, geometry);
    const ConvPlan& taken = *planner.find(geometry, ConvPass::backward_weight).plan;
    CHECK(taken.engine().uses_tensor_cores());
    const std::size_t smaller_operand =
        std::min(bytes_of(geometry.input_shape(), DType::f32), bytes_of(geometry.output_shape(), DType::f32));
    CHECK((taken.workspace_bytes() < smaller_operand) == (geometry.out_channels >= 32));
  }
}

TEST_CASE("where tensor cores copy the operands in any case, filter gradients in tf32 are by the heuristics' first") {
  const CudnnTarget ampere(kGpus.back().json());
  for (const ConvGeometry& geometry : layers_of_resnet20(DType::f32)) {
    INFO(describe(geometry));
    const std::optional<std::int64_t> first = first_of_heuristics(ampere, geometry, /*allow_tf32=*/true);
    const auto taken = find_plan(ampere, geometry, ConvPass::backward_weight,
                                 {.allow_tf32 = true, .most_workspace_bytes = std::size_t{1} << 28, .accepts = {}});
    REQUIRE(taken.has_value());
    CHECK(taken->engine().index == first);
  }
}

TEST_CASE("the engine that sums filter gradients slowly serves if no other does, wherever the heuristics put it") {
  constexpr std::int64_t slow = 0;
  int put_first = 0;
  for (const Gpu& gpu : kGpus) {
    const CudnnTarget target(gpu.json());
    for (const ConvGeometry& geometry : layers_of_resnet20(DType::f32)) {
      INFO(gpu.name << ", " << describe(geometry));
      const auto find = [&](const std::function<bool(const ConvPlan&)>& accepts) {
        return find_plan(target, geometry, ConvPass::backward_weight,
                         {.most_workspace_bytes = std::size_t{1} << 28, .accepts = accepts});
      };
      std::vector<std::int64_t> tried;
      CHECK_FALSE(find([&](const ConvPlan& plan) {
        tried.push_back(plan.engine().index);
        return false;
      }));
      const auto others = std::ranges::find(tried, slow) - tried.begin();
      CHECK(others > 0);
      CHECK(others < std::ssize(tried));
      CHECK(std::ranges::all_of(tried.begin() + others, tried.end(), [=](auto index) { return index == slow; }));
      CHECK(find({})->engine().index == tried.front());
      CHECK(find([=](const ConvPlan& plan) { return plan.engine().index == slow; })->engine().index == slow);

      put_first += static_cast<int>(first_of_heuristics(target, geometry, /*allow_tf32=*/false) == slow);
    }
  }
  CHECK(put_first > 0);  // or the rule would not be needed
}

TEST_CASE("what runs forward alone has no memory for gradients, and no plans for them") {
  ConvolutionPlanner planner = planner_for(kGpus.front());
  ConvGeometry geometry = layers_of_networks().at(1).geometry(DType::bf16);
  geometry.batch = 100;
  plan(planner, geometry, kForwardPass);
  REQUIRE(planner.engines().size() == 1);
  CHECK(planner.scratch_bytes(geometry, kForwardPass) == planner.engines().front().workspace_bytes);
  CHECK_THROWS_WITH(planner.find(geometry, ConvPass::backward_weight), Catch::Contains("was not planned"));
  const PlannedPass* const forward = &planner.find(geometry, ConvPass::forward);
  plan(planner, geometry);
  CHECK(planner.engines().size() == 3);
  CHECK(forward == &planner.find(geometry, ConvPass::forward));  // stays as it was
}

TEST_CASE("a plan that fails on the device is passed over for the next engine's") {
  const ConvGeometry geometry = layers_of_networks().at(1).geometry(DType::f32);
  std::vector<std::int64_t> refused;
  ConvolutionPlanner planner(CudnnTarget(kGpus.front().json()), false,
                             [&](const ConvGeometry& tried, ConvPass pass, const ConvPlan& plan) {
                               CHECK(tried == geometry);
                               if (pass != ConvPass::forward || refused.size() == 2) return true;
                               refused.push_back(plan.engine().index);
                               return false;
                             });
  plan(planner, geometry);
  REQUIRE(refused.size() == 2);
  const PlannedPass& planned = planner.find(geometry, ConvPass::forward);
  REQUIRE(planned.plan.has_value());
  ConvolutionPlanner other = planner_for(kGpus.front());
  plan(other, geometry);
  CHECK(other.find(geometry, ConvPass::forward).plan->engine().index == refused.front());
}

TEST_CASE("a pass for which no engine serves is left to own loops, which a note says") {
  const ConvGeometry geometry = layers_of_networks().at(1).geometry(DType::f32);
  ConvolutionPlanner planner(CudnnTarget(kGpus.front().json()), false,
                             [](const ConvGeometry&, ConvPass, const ConvPlan&) { return false; });
  plan(planner, geometry, kForwardPass);
  CHECK_FALSE(planner.find(geometry, ConvPass::forward).plan.has_value());
  REQUIRE(planner.notes().size() == 1);
  CHECK_THAT(planner.notes().front(), Catch::Contains("forward runs by own loops, which are slow"));
  CHECK(planner.engines().front().engine == "own loops");
}

TEST_CASE("engines are named with what cuDNN says of them") {
  ConvolutionPlanner planner = planner_for(kGpus.front());
  ConvGeometry geometry = layers_of_networks().at(1).geometry(DType::bf16);
  geometry.batch = 128;
  plan(planner, geometry);
  for (const EngineNote& note : planner.engines()) {
    INFO(name_of(note.pass));
    CHECK(note.geometry == geometry);
    CHECK_THAT(note.engine, Catch::Matches("cuDNN [0-9]+"));
    CHECK((note.found_by == "heuristics" || note.found_by == "fallback"));
    CHECK_THAT(note.numerics, Catch::Contains("TENSOR_CORE"));
    CHECK(note.workspace_bytes == planner.find(geometry, note.pass).plan->workspace_bytes());
    CHECK(note.widens_operands == (note.pass == ConvPass::backward_weight));
  }
}

TEST_CASE("a device that cuDNN cannot read is an error") {
  CHECK_THROWS(CudnnTarget("{}"));
}

}  // namespace bsq::cuda
