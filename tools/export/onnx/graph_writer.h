// Writes layers of a network to ONNX: nodes, tensors of the model, integer weights.
#pragma once

#include "engine/model/integer_tensors.h"
#include "tools/export/onnx/network_graph.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace bsq {

class GraphWriter {
 public:
  GraphWriter(const Network& network, const TensorFile& file, const StoredWeights& weights, const OnnxOptions& options);

  /// Appends a node whose only output has the name of the node; returns that name.
  std::string add(const std::string& op, const std::string& name, const std::vector<std::string>& inputs,
                  const std::map<std::string, OnnxAttribute>& attributes = {});
  std::string add_int_quant(const std::string& name, const std::string& x, const std::string& unit, int bits,
                            bool is_signed, bool is_narrow);
  /// Writes the values of a parameter, as integers and their unit if it has levels; returns the name of their tensor.
  std::string parameter(ParameterId id);
  std::string state(StateId id) { return plain_tensor(network_.states()[static_cast<std::size_t>(id)].name); }
  /// The one number of a parameter; its start value if the model lacks it.
  float number_of(ParameterId id) const;
  float number_of_state(StateId id) const;
  /// Writes a scalar, once however often it is asked for; returns its name.
  std::string number(const std::string& name, float value);
  /// The same for 0 of a type.
  std::string zero_point(OnnxType type);

  /// Of a tensor of the network, for one image.
  const Shape& shape_of(TensorId id) const { return tensors_[static_cast<std::size_t>(id)].shape; }
  bool is_qonnx() const { return options_.qonnx; }
  const std::string& file_name() const { return file_name_; }
  const std::string& state_name(StateId id) const { return network_.states()[static_cast<std::size_t>(id)].name; }
  OnnxModel& model() { return model_; }

 private:
  std::string plain_tensor(const std::string& name);

  const Network& network_;
  std::vector<TensorSpec> tensors_;
  const TensorFile& file_;
  const OnnxOptions& options_;
  std::string file_name_;
  std::vector<IntegerTensor> integers_;
  OnnxModel model_;
  std::set<std::string> numbers_;
};

}  // namespace bsq
