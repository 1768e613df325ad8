// Pictures that travel in the metadata of a deployed graph, with what has to come out of them, so that every runtime
// can be held against it.
//
// Metadata `check`: JSON {"shape": [N, H, W, C], "pictures": their bytes in base64, "mean" and "std": how float32
// images are made of them, "levels": {name of a tensor of the graph: CRC-32 of its bytes, of all N pictures in the
// order [N, C, H, W]}, "logits": N rows, one after the other}.
#pragma once

#include "engine/input/input_options.h"
#include "tools/export/onnx/engine_run.h"

#include <filesystem>
#include <span>
#include <string>

namespace bsq {

/// `run`: what comes out of these pictures (run_deployed_for).
void add_check(OnnxModel& model, const EngineRun& run, std::span<const std::uint8_t> pictures,
               const InputOptions& input);

/// Runs the pictures of a file in a runtime (empty: the one that the file is for), a package of the Python that
/// BSQ_PYTHON names, or of python3. A file for onnxruntime must have the same levels there, every one; elsewhere the
/// class of every picture must be the same. Returns what was compared, in words. Throws Error(verification) if it is
/// not so, Error(usage) if the file carries no pictures or the runtime is not one that can be run, Error(device)
/// without Python or the package.
std::string check_graph(const std::filesystem::path& path, const std::string& runtime);

}  // namespace bsq
