// The formats of `bsq export` that are safetensors files: float, and packed (engine/methods/packed_model.h). What comes
// back from them must be the model bit for bit.
#include "engine/methods/packed_model.h"
#include "engine/methods/weight_forms.h"
#include "kernels/base/error.h"
#include "tools/export/formats.h"

#include <bit>

namespace bsq {
namespace {

namespace fs = std::filesystem;

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](float x, float y) {
           return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y) || (x == 0 && y == 0);
         });
}

/// Throws Error(verification) unless the file holds these weights of the job, and all else that it has in float32.
void check_same_model(const ExportJob& job, const Weights& weights, const fs::path& written) {
  const OpenModel read = open_model(describe_model(read_safetensors(written)));
  const Weights expected = StoredDense::convert(weights), found = StoredDense::convert(read.weights);
  for (std::size_t i = 0; i < expected->size(); ++i)
    if (!same_bits(expected->values(i), found->values(i)))
      fail(ErrorKind::verification, "{}: {} came back with other weights; nothing was written", job.output.string(),
           job.model.layout.slots[i].spec.name);
  const TensorFile plain = with_weights(job.model, *expected), plain_read = with_weights(read, *found);
  for (const HostTensor& tensor : plain.tensors) {
    const HostTensor* other = plain_read.find(tensor.name);
    const bool same = other != nullptr && other->shape == tensor.shape && other->dtype == tensor.dtype;
    if (tensor.dtype == DType::f32 && (!same || other->bytes != tensor.bytes))
      fail(ErrorKind::verification, "{}: {} came back changed; nothing was written", job.output.string(), tensor.name);
  }
}

}  // namespace

ExportOutcome export_float(const ExportJob& job, Console& /*console*/) {
  write_safetensors(job.output, with_weights(job.model, *StoredDense::convert(job.model.weights)),
                    [&](const fs::path& temporary) { check_same_model(job, job.model.weights, temporary); });
  return {.what = "effective weights in float32 under PyTorch's names",
          .verified = "read back, every number bit for bit"};
}

ExportOutcome export_packed(const ExportJob& job, Console& /*console*/) {
  const OpenModel& model = job.model;
  const std::vector<IntegerTensor> integers = integer_weights(*model.weights, model.layout);
  // Of the same levels, as a stage's end has them.
  const Weights handed_on =
      grid_conflict(*model.weights).empty() ? convert_weights(kQuantizedForm, model.weights) : model.weights;
  write_safetensors(job.output, pack(model.file, integers),
                    [&](const fs::path& temporary) { check_same_model(job, handed_on, temporary); });
  return {.what = "signs and bit planes, packed into bits", .verified = "read back, every weight bit for bit"};
}

}  // namespace bsq
