#include "tools/session/fresh_classifier.h"

#include "kernels/base/error.h"

#include <algorithm>

namespace bsq {

std::string classifier_of(const Network& network) {
  const std::vector<ParameterSpec>& parameters = network.parameters();
  const auto last = std::find_if(parameters.rbegin(), parameters.rend(),
                                 [](const ParameterSpec& parameter) { return parameter.role == Role::weight; });
  require(last != parameters.rend(), "a network without weights");
  return last->name.substr(0, last->name.rfind('.'));
}

bool belongs_to(const ParameterSpec& parameter, const std::string& layer) {
  return parameter.name.substr(0, parameter.name.rfind('.')) == layer;
}

OpenModel with_fresh_classifier(OpenModel model, const NetworkSpec& spec, std::uint64_t seed) {
  require(!model.weights->is_quantized(), "float weights are to get a classifier");
  const Network network = build_network(spec);
  const std::string layer = classifier_of(network);
  ModelFile file{std::move(model.file), model.packed, std::move(model.card), spec};
  file.card.class_names.reset();
  std::vector<HostTensor>& tensors = file.file.tensors;
  for (const ParameterSpec& parameter : network.parameters()) {
    if (!belongs_to(parameter, layer)) continue;
    std::erase_if(tensors, [&](const HostTensor& tensor) { return tensor.name == parameter.name; });
    tensors.push_back(HostTensor::from<float>(parameter.name, file_shape(parameter.shape),
                                              to_file_layout(initial_values(parameter, seed), parameter.shape)));
  }
  return open_model(std::move(file), model.quantizer);
}

}  // namespace bsq
