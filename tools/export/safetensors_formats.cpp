// The formats of `bsq export` that are safetensors files: float, and packed (engine/methods/packed_model.h). What comes
// back from them must be the model bit for bit.
#include "engine/model/model.h"
#include "engine/methods/packed_model.h"
#include "kernels/base/error.h"
#include "models/resnet.h"
#include "tools/export/formats.h"
#include "tools/session/open_model.h"

#include <bit>

namespace bsq {
namespace {

namespace fs = std::filesystem;

ArenaLayout quantized_layout(const TensorFile& file) {
  return lay_out(make_resnet(resnet_options_of(file)).parameters(), ParameterGroup::quantized);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](float x, float y) {
           return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y) || (x == 0 && y == 0);
         });
}

/// Throws Error(verification) unless `read` holds the weights of the job, and all else that it has in float32.
void check_same_model(const ExportJob& job, const TensorFile& read) {
  const ArenaLayout layout = quantized_layout(job.file);
  const DenseTensors expected = to_dense(job.weights), found = to_dense(check_model(read));
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (!same_bits(expected[i], found[i]))
      fail(ErrorKind::verification, "{}: {} came back with other weights; nothing was written", job.output.string(),
           layout.slots[i].spec.name);
  const TensorFile plain = with_weights(job.file, expected, layout), plain_read = with_weights(read, found, layout);
  for (const HostTensor& tensor : plain.tensors) {
    const HostTensor* other = plain_read.find(tensor.name);
    const bool same = other != nullptr && other->shape == tensor.shape && other->dtype == tensor.dtype;
    if (tensor.dtype == DType::f32 && (!same || other->bytes != tensor.bytes))
      fail(ErrorKind::verification, "{}: {} came back changed; nothing was written", job.output.string(), tensor.name);
  }
}

}  // namespace

ExportOutcome export_float(const ExportJob& job) {
  const TensorFile written = with_weights(job.file, to_dense(job.weights), quantized_layout(job.file));
  write_safetensors(job.output, written,
                    [&](const fs::path& temporary) { check_same_model(job, read_safetensors(temporary)); });
  return {.what = "effective weights in float32 under PyTorch's names",
          .verified = "read back, every number bit for bit"};
}

ExportOutcome export_packed(const ExportJob& job) {
  const TensorFile written = pack(job.file, integer_weights(job.weights, quantized_layout(job.file)));
  write_safetensors(job.output, written,
                    [&](const fs::path& temporary) { check_same_model(job, unpack(read_safetensors(temporary))); });
  return {.what = "a bit takes a bit", .verified = "read back, every weight bit for bit"};
}

}  // namespace bsq
