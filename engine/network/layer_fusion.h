// The layers of PyTorch one by one, as network files may have them, and what the executor runs in their place.
//
//   batch_norm  reads an image; epsilon (1e-5), momentum (0.1)
//   activation  reads an image or a vector; kind (relu | relu6 | pact | lsq | configured), quantized (false). A
//   quantized
//               relu is the activation of the stage, as the published code has it; a quantized relu6 likewise, but
//               relu6 where the stage has relu
//   add         reads two tensors of one shape
//
// They become the kinds that do several steps at once (layer_kinds.h), wherever nobody else reads what lies between:
//
//   batch_norm [+ add] [+ activation]  norm_act, which is called by the batch_norm; where both inputs of the sum are
//                                      batch norms, the first one takes the sum in
//   [add +] activation                 bias_act, which is called by the activation
//   conv2d whose output a reader cannot take (conv2d, max_pool, quantize its integers; what adds no bias, a bias)
//                                      a bias_act without an activation behind it, CONVOLUTION.out
//
// A fused node is where the last of its parts was. Parameters and states keep the names that they have in PyTorch:
// those of the batch_norm, and those of the activation for its ceiling and its scale.
#pragma once

#include "engine/network/network_spec.h"

#include <string>
#include <vector>

namespace bsq {

/// A network of fused nodes, and what each was made of.
struct FusedNetwork {
  /// Numbers of nodes as written; -1: it has no such part.
  struct Origin {
    int first = -1;
    int add = -1;
    int activation = -1;
    int last = -1;
  };

  NetworkSpec spec;
  std::vector<Origin> origins;             // of every node
  std::vector<std::string> written_names;  // of the nodes as written

  /// What is wrong with a node of `spec`, said of the node and the key that were written.
  SpecError as_written(const SpecError& error) const;
};

/// Other nodes stay as they are. Throws SpecError of a node as written.
FusedNetwork fuse_layers(const NetworkSpec& written);

}  // namespace bsq
