// The paper model of a step: its counts against counts by hand and against the executor's plan, its formulas at points
// where they are known, and the document that shows its tables.
#include "bench/roofline_model.h"
#include "bench/roofline_scaling.h"
#include "bench/roofline_tables.h"
#include "engine/methods/weight_forms.h"
#include "engine/model/model.h"
#include "engine/network/layer_kinds.h"
#include "engine/network/executor.h"
#include "engine/network/layer_kinds.h"
#include "kernels/base/error.h"
#include "kernels/reference/reference_backend.h"
#include "models/resnet.h"
#include "tests/engine/network/dense_network.h"
#include "tests/support/catch.h"
#include "tests/support/pooling_network.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace bsq::bench {
namespace {

Operation find(const std::vector<Operation>& step, const std::string& name) {
  const auto found = std::ranges::find(step, name, &Operation::name);
  INFO(name);
  REQUIRE(found != step.end());
  return *found;
}

std::vector<Operation> resnet20_step(const StepOptions& options) {
  return training_step(make_resnet({.act_bits = 4}), options);
}

TEST_CASE("a step multiplies three times what forward does, but for the gradient of the images") {
  for (const int depth : {8, 20, 32}) {
    const Network network = make_resnet({.depth = depth, .act_bits = 4});
    const auto tensors = network.tensors(7, DType::f32);
    double forward = 0;
    for (const Node& node : network.nodes()) forward += node.layer->flops(network.inputs_of(node, tensors));
    const Node& stem = network.nodes().front();
    const double expected = 3 * forward - stem.layer->flops(network.inputs_of(stem, tensors));
    const Totals totals = totals_of(training_step(network, {.batch = 7}), Precision::bf16, Machine());
    CHECK(totals.flops == expected);
  }
}

TEST_CASE("bytes of biases and sums in place of a norm are those counted by hand") {
  const Network network = build_network(spec_from_text(R"({"name": "sums", "image": [8, 8, 3], "nodes": [
    {"name": "conv1", "layer": "conv2d", "out": 4, "bias": true, "quantized": true},
    {"name": "relu1", "layer": "bias_act", "quantized": true},
    {"name": "conv2", "layer": "conv2d", "out": 4, "quantized": true},
    {"name": "sum", "layer": "add", "inputs": ["conv2", "relu1"]},
    {"name": "pool", "layer": "average_pool"}, {"name": "fc", "layer": "linear", "out": 3}]})"),
                                        {.activation = Activation::relu6, .act_bits = 4});
  const auto step = training_step(network, {.batch = 5, .precision = Precision::bf16});
  const double tensor = 5 * 8 * 8 * 4 * 2;
  CHECK(find(step, "bias_act 8x8x4 relu6 4 bit forward").kernels == std::vector<double>{tensor, 2 * tensor});
  CHECK(find(step, "bias_act 8x8x4 relu6 4 bit backward").kernels == std::vector<double>{3 * tensor});
  CHECK(find(step, "bias_act 8x8x4 none of two forward").kernels == std::vector<double>{3 * tensor});
  CHECK(find(step, "bias_act 8x8x4 none of two backward").kernels == std::vector<double>{3 * tensor});
}

TEST_CASE("bytes and FLOPs of a convolution are those counted by hand") {
  const std::string name = "conv 3x3 16->16 at 32x32 ";
  const double pixels = 128 * 32 * 32;
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    const double e = precision == Precision::bf16 ? 2 : 4;
    const auto step = resnet20_step({.batch = 128, .precision = precision});
    CHECK(find(step, name + "forward").bytes() == pixels * (16 + 16) * e + 16 * 9 * 16 * e);
    const double x_of_norm = precision == Precision::bf16 ? pixels * 16 * e : 0;  // our own kernel leaves its sums
    CHECK(find(step, name + "backward data behind norm").bytes() ==
          pixels * (16 + 16) * e + 16 * 9 * 16 * e + x_of_norm);
    CHECK(find(step, name + "backward weight").kernels[0] == pixels * (16 + 16) * e + 16 * 9 * 16 * 4);
    CHECK(find(step, name + "forward").flops == pixels * 16 * 2 * 9 * 16);
    // A 1x1 filter of stride 2 reads one pixel of four, but writes the gradient of all.
    const std::string shortcut = "conv 1x1 16->32 at 32x32 /2 ";
    CHECK(find(step, shortcut + "forward").bytes() == pixels / 4 * (16 + 32) * e + 32 * 16 * e);
    CHECK(find(step, shortcut + "backward data").bytes() == pixels * 16 * e + pixels / 4 * 32 * e + 32 * 16 * e);
  }
}

TEST_CASE("of a convolution in groups each output multiplies the channels of its own, and cuDNN copies nothing") {
  const NetworkSpec spec = spec_from_text(R"({"image": [8, 8, 3], "nodes": [
    {"name": "stem", "layer": "conv2d", "out": 16, "quantized": true},
    {"name": "bn1", "layer": "norm_act"},
    {"name": "depthwise", "layer": "conv2d", "out": 16, "groups": 16, "quantized": true},
    {"name": "bn2", "layer": "norm_act"},
    {"name": "pool", "layer": "average_pool"},
    {"name": "fc", "layer": "linear", "out": 3, "quantized": true}]})");
  const double numbers = 5 * 8 * 8 * (16 + 16);
  const double weights = 16 * 9;
  const std::string name = "conv 3x3 16->16 in 16 groups at 8x8 ";
  const auto fp32 = training_step(build_network(spec), {.batch = 5, .precision = Precision::fp32, .copies = true});
  const auto bf16 = training_step(build_network(spec), {.batch = 5, .precision = Precision::bf16, .copies = true});
  CHECK(find(fp32, name + "forward").kernels == std::vector<double>{4 * (numbers + weights)});
  CHECK(find(fp32, name + "forward").flops == 2 * 5 * 8 * 8 * weights);
  CHECK(find(bf16, name + "backward data behind norm").kernels == std::vector<double>{2 * (numbers + weights)});
  // Both operands widened, the product, and its sum: no kernel of our own.
  const Operation gradient = find(bf16, name + "backward weight");
  CHECK(gradient.kernels ==
        std::vector<double>{numbers / 2 * 6, numbers / 2 * 6, 4 * (numbers + weights), 8 * weights});
  CHECK(padded_floor_s(gradient, Precision::bf16, Machine(), 16, true) >=
        floor_s(gradient, Precision::bf16, Machine()));
}

TEST_CASE("norm_act counts every pass its kernels make") {
  const auto step = resnet20_step({.batch = 2, .precision = Precision::fp32});
  const double tensor = 2 * 32 * 32 * 16 * 4;
  CHECK(find(step, "norm_act 32x32x16 relu forward").bytes() == 3 * tensor);
  CHECK(find(step, "norm_act 32x32x16 relu6 4 bit forward").bytes() == 3 * tensor);
  CHECK(find(step, "norm_act 32x32x16 relu6 4 bit forward").nodes() == 2);
  CHECK(find(step, "norm_act 32x32x16 relu6 4 bit + shortcut forward").bytes() == 6 * tensor);
  CHECK(find(step, "norm_act 32x32x16 relu6 4 bit + shortcut forward").nodes() == 3);
  CHECK(find(step, "norm_act 32x32x16 relu6 4 bit backward").bytes() == 5 * tensor);
  CHECK(find(step, "norm_act 32x32x16 relu6 4 bit + shortcut backward").bytes() == 8 * tensor);
  const auto plain = training_step(make_resnet({}), {.batch = 2, .precision = Precision::fp32, .weight_bits = 0});
  CHECK(find(plain, "norm_act 32x32x16 relu6 + shortcut forward").bytes() == 4 * tensor);
}

TEST_CASE("poolings count both sides once, and the winners of a maximum") {
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    const double e = precision == Precision::bf16 ? 2 : 4;
    const auto step = training_step(build_network(test::pooling_spec()), {.batch = 2, .precision = precision});
    const double image = 2 * 8 * 8 * 4, quarter = image / 4;
    CHECK(find(step, "max_pool 8x8x4 forward").bytes() == image * e + quarter * (e + 1));
    CHECK(find(step, "max_pool 8x8x4 backward").bytes() == 2 * image * e + quarter * (e + 1));  // adds to the mean's
    CHECK(find(step, "average_pool 8x8x4 forward").bytes() == (image + quarter) * e);
    CHECK(find(step, "average_pool 8x8x4 backward").bytes() == (image + quarter) * e);
    CHECK(find(step, "average_pool 8x8x4 backward").group == "pooling");
    CHECK(find(step, "flatten forward").bytes() == 2 * 3 * 3 * 4 * (e + 4));
    CHECK(find(step, "flatten backward").group == "head");
  }
}

TEST_CASE("one pass over planes and momentum writes the next step's weights as well") {
  const double quantized = 268'346;
  const double classifier = 650;
  for (const int bits : {1, 8}) {
    const auto wide = resnet20_step({.precision = Precision::fp32, .weight_bits = bits});
    const auto narrow = resnet20_step({.precision = Precision::bf16, .weight_bits = bits});
    const double update = quantized * (8 * bits + 1) * 4;
    const double scaled = classifier * (2 * bits + 1) * 4;  // once the classifier's scale is known
    CHECK(find(wide, "planes_step").bytes() == update + (quantized - classifier) * 4 + scaled);
    CHECK(find(narrow, "planes_step").bytes() == update + (quantized - classifier) * 2 + scaled);
    CHECK(std::ranges::count(narrow, "planes", &Operation::group) == 1);
  }
}

TEST_CASE("a step is as many kernels as its operations, and the engines of cuDNN, launch") {
  const auto nodes = [](const StepOptions& options) {
    return totals_of(resnet20_step(options), options.precision, Machine()).nodes;
  };
  // 42 norm_act backward, 12 x 2 + 9 x 3 forward, 41 products, head 5, input 2, updates 3
  const int all = 42 + 51 + 41 + 5 + 2 + 3;
  // Convolutions leave the sums of 21 norms forward and 18 backward, and make the output of 9; a product is a filter
  // gradient, the parts of all are summed in 6 kernels; shortcut filters.
  CHECK(nodes({}) == all - 21 - 18 - 9 + 21 + 6 + 1);
  CHECK(nodes({.copies = true}) == nodes({}));
  CHECK(nodes({.precision = Precision::tf32}) == all + 21 * 2 + 9);
  CHECK(nodes({.precision = Precision::tf32, .copies = true}) == all + 21 * 2 + 9 + 14 * 2);  // 14 copy two operands
  CHECK(nodes({.precision = Precision::fp32}) == all + 21 + 9);
  CHECK(nodes({.precision = Precision::fp32, .copies = true}) == all + 21 + 9 + 41 * 2);
}

TEST_CASE("copies are bytes beside the product's, and so is what no kernel of our own widens") {
  const std::string name = "conv 3x3 16->16 at 32x32 backward weight";
  const double numbers = 128 * 32 * 32 * (16 + 16);
  const double weights = 16 * 9 * 16;
  CHECK(find(resnet20_step({}), name).kernels == std::vector<double>{numbers * 2 + weights * 4});
  const Operation lean = find(resnet20_step({.precision = Precision::tf32}), name);
  CHECK(lean.kernels == std::vector<double>{numbers * 4 + weights * 4, weights * 8});
  const Operation copying = find(resnet20_step({.precision = Precision::tf32, .copies = true}), name);
  CHECK(copying.bytes() == numbers * (8 + 4) + weights * 12);
  CHECK(copying.kernels.size() == 4);
  CHECK(copying.kernels[copying.worker] == lean.kernels[0]);
  CHECK(copying.flops == lean.flops);
  CHECK(find(resnet20_step({.precision = Precision::tf32, .copies = true}), "conv 3x3 64->64 at 8x8 backward weight")
            .nodes() == 2);
  // Of 24 channels there is no kernel of our own: both operands are widened.
  const auto step = training_step(make_resnet({.width = 24}), {});
  const Operation widened = find(step, "conv 3x3 24->24 at 32x32 backward weight");
  const double wide_numbers = 128 * 32 * 32 * (24 + 24);
  CHECK(widened.nodes() == 4);
  CHECK(widened.bytes() == wide_numbers * (6 + 4) + 24 * 9 * 24 * 12);
}

TEST_CASE("a gradient that is added to another one reads it, in a kernel of its own behind cuDNN's") {
  const double tensor = 128 * 32 * 32 * 16;
  const double weights = 16 * 9 * 16;
  const std::string own = "conv 3x3 16->16 at 32x32 backward data";
  const std::string added = own + " += behind norm + shortcut";  // of which our own kernel reads two tensors more
  CHECK(find(resnet20_step({}), added).kernels == std::vector<double>{(3 * tensor + weights + 2 * tensor) * 2});
  CHECK(find(resnet20_step({.precision = Precision::tf32}), added).kernels ==
        std::vector<double>{(2 * tensor + weights) * 4, 3 * tensor * 4});
  const std::string wide = "conv 3x3 24->24 at 32x32 backward data += behind norm";  // no own kernel has 24 channels
  const double wide_tensor = 128 * 32 * 32 * 24;
  CHECK(find(training_step(make_resnet({.width = 24}), {}), wide).kernels ==
        std::vector<double>{(2 * wide_tensor + 24 * 9 * 24) * 2, 3 * wide_tensor * 2});
}

TEST_CASE("a kernel takes its latency at least, and a prediction spans both lists") {
  const Machine machine{
      .bytes_per_s = 1e9, .short_gap_s = 1, .long_gap_s = 2, .short_latency_s = 3, .long_latency_s = 5};
  const std::vector<Operation> step = {{"a", "g", {1e9, 4e9}}, {"b", "g", {6e9}}};  // 1, 4 and 6 s
  const Totals totals = totals_of(step, Precision::bf16, machine);
  CHECK(totals.floor_s == Approx(11));
  CHECK(totals.low_s(machine) == Approx(3 + 4 + 6 + 3 * 1));
  CHECK(totals.high_s(machine) == Approx(5 + 5 + 6 + 3 * 2));
  CHECK(totals.middle_s(machine) == Approx(19));
  const Prediction predicted = predict(make_resnet({.act_bits = 4}), {}, Machine());
  CHECK(predicted.low_s == totals_of(resnet20_step({}), Precision::bf16, Machine()).low_s(Machine()));
  CHECK(predicted.high_s == totals_of(resnet20_step({}), Precision::bf16, Machine()).high_s(Machine()));
  const Prediction wide = predict(make_resnet({.act_bits = 4}), {.precision = Precision::tf32}, Machine());
  const StepOptions copying{.precision = Precision::tf32, .copies = true};
  CHECK(wide.high_s == totals_of(resnet20_step(copying), Precision::tf32, Machine()).high_s(Machine()));
}

TEST_CASE("each of nine blocks adds the gradient of its first convolution to another one") {
  const auto step = resnet20_step({});
  CHECK(std::ranges::count_if(
            step, [](const auto& operation) { return operation.name.find(" +=") != std::string::npos; }) == 9);
  CHECK(std::ranges::count(step, "conv forward", &Operation::group) == 21);
  CHECK(std::ranges::count(step, "conv backward weight", &Operation::group) == 21 + 1);  // the sums of the parts
  CHECK(std::ranges::count(step, "conv backward data", &Operation::group) == 20);
  int times = 0;
  for (const Repeated& repeated : distinct(step)) times += repeated.times;
  CHECK(times == static_cast<int>(step.size()));
}

TEST_CASE("floors are the slower of bytes and FLOPs, and sums are sums") {
  const Machine machine{.bytes_per_s = 1e9, .bf16_flops = 1e10, .tf32_flops = 5e9, .fp32_flops = 1e9};
  Operation convolution{"c", "conv forward", {2e9}, 1e10, 0, ConvGeometry()};
  CHECK(floor_s(convolution, Precision::bf16, machine) == Approx(2));
  CHECK(is_memory_bound(convolution, Precision::bf16, machine));
  CHECK(floor_s(convolution, Precision::fp32, machine) == Approx(10));
  CHECK_FALSE(is_memory_bound(convolution, Precision::fp32, machine));
  const Operation classifier{"l", "head", {0, 0}, 1e9};
  CHECK(floor_s(classifier, Precision::bf16, machine) == Approx(1));  // not a convolution: fp32
  const Totals totals = totals_of({convolution, classifier}, Precision::bf16, machine);
  CHECK(totals.floor_s == Approx(3));
  CHECK(totals.nodes == 3);
  convolution.convolution = ConvGeometry{.batch = 1, .height = 4, .width = 4, .in_channels = 48, .out_channels = 16};
  CHECK(padded_floor_s(convolution, Precision::tf32, machine, 64, false) == Approx(2 * 4));
  CHECK(padded_floor_s(convolution, Precision::tf32, machine, 64, true) == Approx(2 * 4 * 64.0 / 48));
}

TEST_CASE("each fusion takes kernels and bytes away, and all of them what ROOFLINE was measured without") {
  const auto totals = [](Fusion fusion) {
    return totals_of(resnet20_step({.fusion = fusion}), Precision::bf16, Machine());
  };
  // 42 norm_act backward, 51 forward, 62 products, 21 sums of parts, head 5, input 2, updates 4
  CHECK(totals(Fusion::none).nodes == 42 + 51 + 62 + 21 + 5 + 2 + 4);
  CHECK(totals(Fusion::statistics).nodes == totals(Fusion::none).nodes - 21);
  CHECK(totals(Fusion::gradient_sums).nodes == totals(Fusion::statistics).nodes - 18);  // not the last and shortcuts'
  CHECK(totals(Fusion::parts_together).nodes == totals(Fusion::gradient_sums).nodes - 15);
  CHECK(totals(Fusion::norm_in_load).nodes == totals(Fusion::parts_together).nodes - 9);
  const double outputs = 2 * 128.0 * (7 * 32 * 32 * 16 + 7 * 16 * 16 * 32 + 7 * 8 * 8 * 64);
  CHECK(totals(Fusion::none).bytes - totals(Fusion::statistics).bytes == outputs);
  CHECK(totals(Fusion::gradient_sums).bytes == totals(Fusion::parts_together).bytes);
  const double inner = 2 * 128.0 * 3 * (32 * 32 * 16 + 16 * 16 * 32 + 8 * 8 * 64);
  CHECK(totals(Fusion::parts_together).bytes - totals(Fusion::norm_in_load).bytes == 2 * inner);
  const StepOptions wide{.precision = Precision::tf32};
  StepOptions unfused = wide;
  unfused.fusion = Fusion::none;
  CHECK(totals_of(resnet20_step(wide), wide.precision, Machine()).nodes ==
        totals_of(resnet20_step(unfused), wide.precision, Machine()).nodes);
}

TEST_CASE("the memory of activations is what the executor plans") {
  const auto backend = make_reference_backend();
  const ResNetOptions options{.depth = 14, .width = 8, .image_height = 16, .image_width = 16, .act_bits = 4};
  DeviceMemory memory(*backend);
  const Model model(memory, make_resnet(options), DType::f32, 1,
                    store_of([](const ArenaLayout& layout) { return initial_weights(layout, 1); }));
  const int batch = 4;
  const Executor executor(memory, model.network(), model.parameters(), batch, DType::f32, ExecutionMode::training);
  const StepMemory counted = memory_of(model.network(), {.batch = batch, .precision = Precision::fp32});
  const auto planned = static_cast<double>(executor.plan().arena_bytes);
  CHECK(planned >= counted.activation_peak);
  CHECK(planned < 1.02 * counted.activation_peak);  // means and deviations of the norms, and alignment
  CHECK(counted.activation_peak > counted.activations);
  const StepMemory large = memory_of(make_resnet({}), {});
  CHECK(large.planes == 268'346.0 * 16 * 4);
  CHECK(large.plane_momentum == large.planes);
}

TEST_CASE("a dense block counts as one buffer, of which only the new channels are copied") {
  const auto backend = make_reference_backend();
  DeviceMemory memory(*backend);
  const Model model(memory, build_network(test::dense_block_with_dropout()), DType::f32, 1,
                    store_of([](const ArenaLayout& layout) { return initial_weights(layout, 1); }));
  const int batch = 64;
  const StepOptions options{.batch = batch, .precision = Precision::fp32};
  const Executor executor(memory, model.network(), model.parameters(), batch, DType::f32, ExecutionMode::training);
  const StepMemory counted = memory_of(model.network(), options);
  const auto planned = static_cast<double>(executor.plan().arena_bytes);
  CHECK(planned >= counted.activation_peak);
  CHECK(planned < 1.05 * counted.activation_peak);
  double copied = 0, dropped = 0;
  for (const Operation& operation : training_step(model.network(), options)) {
    if (operation.group == "concat") copied += operation.bytes();
    if (operation.group == "dropout") dropped += operation.bytes();
  }
  const double plane = 4.0 * batch * 36;         // bytes of a channel
  CHECK(copied == 2 * 2 * (8 + 4 + 4) * plane);  // forward and backward, read and written
  CHECK(dropped == 2 * 2 * (4 + 4) * plane + 2 * 2 * 4.0 * batch * 16);
}

TEST_CASE("an all-reduce takes what its formula says, and never less on more GPUs") {
  const Cluster cluster{.gpus_per_node = 8, .node = {1e9, 1e-3}, .network = {1e8, 1e-2}, .launch_s = 0.5};
  CHECK(all_reduce_s(cluster, 1e9, 1) == 0);
  CHECK(ring_all_reduce_s(cluster, 1e9, 2) == Approx(2 * (1e-3 + 0.5)));
  CHECK(tree_all_reduce_s(cluster, 1e9, 2) == Approx(2 * 1e-3 + 2));
  CHECK(ring_all_reduce_s(cluster, 8e9, 8) == Approx(2 * 7 * (1e-3 + 1)));
  CHECK(ring_all_reduce_s(cluster, 8e9, 32) == Approx(2 * 7 * (1e-3 + 1) + 2 * 3 * (1e-2 + 2.5)));
  CHECK(tree_all_reduce_s(cluster, 8e9, 32) == Approx(6 * 1e-3 + 16 + 4 * 1e-2 + 20));
  for (const double bytes : {1e3, 1e9})
    for (int gpus = 1; gpus < 1024; gpus *= 2)
      CHECK(all_reduce_s(cluster, bytes, 2 * gpus) >= all_reduce_s(cluster, bytes, gpus));
}

TEST_CASE("a workload is a line through its steps, and overlap hides all-reduces but the last") {
  const Machine machine;
  const Workload small = resnet20_workload(machine);
  for (const int batch : {128, 512}) {
    CHECK(small.step_s(batch) == Approx(predict(make_resnet({.act_bits = 4}), {.batch = batch}, machine).middle_s()));
  }
  CHECK(small.gradient_bytes > 4 * 268'346);
  const Workload large = resnet50_workload(machine);
  const Cluster cluster;
  for (const int gpus : {2, 8, 64, 1024}) {
    CHECK(exposed_s(cluster, small, 512, gpus, true) == all_reduce_s(cluster, small.gradient_bytes, gpus));
    const double after = exposed_s(cluster, large, 256, gpus, false);
    const double during = exposed_s(cluster, large, 256, gpus, true);
    CHECK(during < after);
    CHECK(during >= all_reduce_s(cluster, large.gradient_bytes / large.buckets, gpus));
  }
}

// ---- the document ---------------------------------------------------------------------------------------------------

const Table kTable{"t", {"a", "b", "measured us"}, {{"x", "1", "not yet"}, {"y", "2", "not yet"}}};

std::string error_of(const std::string& document) {
  try {
    with_tables(document, {kTable});
  } catch (const Error& error) {
    CHECK(error.exit_code() == 2);
    return error.what();
  }
  return "no error";
}

TEST_CASE("a table is written anew and keeps what was measured") {
  const std::string before =
      "text\n<!-- table t -->\n| a | b | measured us |\n|---|--:|--:|\n| y | 7 | 33 |\n<!-- end -->\n";
  const std::string after =
      "text\n<!-- table t -->\n| a | b | measured us |\n|---|--:|--:|\n| x | 1 | not yet |\n| y | 2 | 33 |\n<!-- end "
      "-->\n";
  CHECK(with_tables(before, {kTable}) == after);
  CHECK(with_tables(after, {kTable}) == after);
}

TEST_CASE("a measured column is found by its head, and a table that is measured altogether is kept") {
  const std::string before =
      "<!-- table t -->\n| a | measured x |\n|---|--:|\n| r | 5 |\n<!-- end -->\n"
      "<!-- table u -->\n| measured z | old |\n|---|--:|\n| r | 5 |\n| s | 6 |\n<!-- end -->\n";
  const std::string after =
      "<!-- table t -->\n| a | measured y | measured x | b |\n|---|--:|--:|--:|\n| r | not yet | 5 | 1 |\n<!-- end "
      "-->\n"
      "<!-- table u -->\n| measured z | new |\n|---|--:|\n| r | 5 |\n| s | 6 |\n<!-- end -->\n";
  const std::vector<Table> tables = {{"t", {"a", "measured y", "measured x", "b"}, {{"r", "not yet", "not yet", "1"}}},
                                     {"u", {"measured z", "new"}, {}}};
  CHECK(with_tables(before, tables) == after);
  CHECK(with_tables(after, tables) == after);
}

TEST_CASE("a document that lacks a table, names an unknown one or does not end one is refused") {
  CHECK(error_of("text\n") == "table t must stand in the document once");
  CHECK(error_of("<!-- table u -->\n<!-- end -->\n") == "there is no table u");
  CHECK(error_of("<!-- table t -->\n| a |\n") == "table t does not end in <!-- end -->");
  const std::string once = "<!-- table t -->\n<!-- end -->\n";
  CHECK(error_of(once + once) == "table t must stand in the document once");
}

TEST_CASE("bench/ROOFLINE.md shows the tables that the program prints") {
  std::ifstream file(BSQ_SOURCE_DIR "/bench/ROOFLINE.md");
  std::ostringstream text;
  text << file.rdbuf();
  INFO("build/bin/roofline bench/ROOFLINE.md writes the tables anew");
  CHECK(with_tables(text.str(), roofline_tables()) == text.str());
}

}  // namespace
}  // namespace bsq::bench
