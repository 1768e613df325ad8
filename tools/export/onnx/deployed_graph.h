// A deployed network as an ONNX graph of QuantizeLinear and DequantizeLinear, written so that a runtime fuses all of it
// into integer operations.
//
// Input `images` [N, 3, H, W] (normalised float32, or bytes), output `logits` [N, classes]. Levels are INT8, or UINT8
// if pictures are bytes, since onnxruntime wants one type for what a convolution reads and writes.
#pragma once

#include "engine/deployed/deployed_network.h"
#include "engine/input/input_options.h"
#include "tools/export/onnx/engine_run.h"
#include "tools/export/onnx/runtimes.h"

#include <cstdint>
#include <span>

namespace bsq {

/// What is taken off a level in INT8: nothing of 0 .. 127, 128 of others.
int sign_offset(const LevelGrid& grid);

struct DeployedGraphOptions {
  bool byte_input = false;  // bytes, as pictures have them, and the normalisation within; else normalised float32
  InputOptions input;
  int opset = 0;
  std::int64_t ir_version = 0;
};

OnnxModel deployed_graph(const DeployedNetwork& network, const Runtime& runtime, const DeployedGraphOptions& options);

/// What the graph reads and what comes out by the deployed arithmetic, every level by the graph's rounding nodes.
/// pictures: N images [H, W, 3] of bytes.
EngineRun run_deployed_for(const DeployedNetwork& network, const Runtime& runtime, const DeployedGraphOptions& options,
                           std::span<const std::uint8_t> pictures);

/// Convolutions of a graph, and how many of them the runtime multiplies as integers by its rules.
struct IntegerShare {
  int convolutions = 0;
  int integers = 0;
};
IntegerShare integer_share(const OnnxModel& model, const Runtime& runtime);

}  // namespace bsq
