// Whole networks in their deployed form by the operations of a backend, and by the host's program.
#include "engine/deployed/device_program.h"

#include "kernels/reference/reference_backend.h"
#include "tests/tools/export/onnx/deployed_support.h"

namespace bsq::test {

TEST_CASE("a deployed network of every family makes the same levels by the operations of a backend") {
  const std::string name = GENERATE(from_range(deployed_case_names()));
  INFO(name);
  const DeployedCase made = deployed_case(name);
  const DeployedNetwork& network = made.deployment.network;
  const std::size_t bytes = network.tensors[0].numel(), classes = network.head.offset.size();
  const std::size_t pictures = made.pictures.size() / bytes;
  const auto backend = make_reference_backend();
  DeviceProgram program(network, *backend, static_cast<int>(pictures), DeviceProgram::Keeps::all);
  const std::vector<float> found = program.run(made.pictures);
  const std::vector<std::vector<std::uint8_t>> levels = program.levels();
  for (std::size_t n = 0; n < pictures; ++n) {
    std::vector<float> logits(classes);
    const PictureLevels expected = trace_deployed(network, std::span(made.pictures).subspan(n * bytes, bytes), logits);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      INFO(network.tensors[i].name);
      CHECK(std::ranges::equal(std::span(levels[i]).subspan(n * expected[i].size(), expected[i].size()), expected[i]));
    }
    CHECK(std::ranges::equal(std::span(found).subspan(n * classes, classes), logits));
  }
}

}  // namespace bsq::test
