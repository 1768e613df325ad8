// Files of deployed networks: the bytes, every size and index, and the network on a picture.
#include "engine/deployed/check_vectors.h"
#include "engine/deployed/deployed_file.h"
#include "engine/deployed/deployed_run.h"
#include "tests/fuzz/foreign_bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bsq;
  constexpr std::size_t kMostLevels = 1 << 16;  // so that no network takes long
  const std::filesystem::path path = fuzz::put("deployed.safetensors", fuzz::text_of(data, size));
  fuzz::ends_well({ErrorKind::checkpoint}, [&] {
    const TensorFile file = read_safetensors(path);
    const DeployedNetwork network = read_deployed(file);
    read_check(network, file);
    std::size_t levels = 0;
    for (const DeployedTensor& tensor : network.tensors) levels += tensor.numel();
    std::size_t products = 1;
    for (const DeployedNode& node : network.nodes)
      if (const auto* c = std::get_if<LevelConvolution>(&node.operation)) products += c->k.size();
    if (levels > kMostLevels || levels * products > (std::size_t{1} << 31)) return;
    const std::vector<std::uint8_t> picture(network.tensors[0].numel(), 100);
    const std::vector<float> logits = run_deployed(network, picture, 1);
    fuzz::must_hold(logits.size() == static_cast<std::size_t>(network.head.classes()), "a logit per class");
    fuzz::must_hold(read_deployed(deployed_file(network)).nodes.size() == network.nodes.size(), "it is read again");
  });
  return 0;
}
