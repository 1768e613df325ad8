// ONNX files, which bsq reads to verify what it has written: the bytes, every tensor, and the graph on a small image.
#include "tests/fuzz/foreign_bytes.h"
#include "tools/export/onnx/evaluator.h"
#include "tools/export/onnx/plugin/plugin.h"

#include <google/protobuf/stubs/logging.h>

/// Of the plug-in, which is linked here.
extern "C" const bsq::onnx_plugin::Plugin* bsq_onnx_plugin();

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bsq;
  constexpr std::int64_t kMostNumbers = 4096;  // of a tensor, so that no graph takes long
  static const google::protobuf::LogSilencer silence;
  fuzz::ends_well({ErrorKind::verification}, [&] {
    const OnnxModel model = bsq_onnx_plugin()->read(std::string(fuzz::text_of(data, size)));
    for (const OnnxTensor& tensor : model.initializers) values_of(tensor);
    const GraphTensor image{{1, 3, 4, 4}, std::vector<float>(3 * 4 * 4, 0.5F)};
    evaluate_graph(model, image, nullptr, kMostNumbers);
  });
  return 0;
}
