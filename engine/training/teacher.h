// The float model that others learn from (distill.model), and what a checkpoint remembers of it.
#pragma once

#include "engine/files/safetensors.h"
#include "engine/network/network.h"

#include <nlohmann/json.hpp>

#include <string>

namespace bsq {

/// A teacher as it was opened and checked.
struct TeacherModel {
  std::string path;  // for logs
  Network network;   // of float activations
  TensorFile file;   // float weights
  std::string hash;  // over its numbers and how they are run
};

/// Of the state.json of a checkpoint; empty if nobody teaches. Throws Error(checkpoint), naming `where`.
std::string teacher_from_json(const nlohmann::json& state, const std::string& where);
/// Throws Error(checkpoint) unless a run goes on with the teacher that it had; empty: none.
void check_same_teacher(const std::string& then, const std::string& now, const std::string& path);

}  // namespace bsq
