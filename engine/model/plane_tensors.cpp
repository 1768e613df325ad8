#include "engine/model/plane_tensors.h"

#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"

namespace bsq {

HostTensor planes_to_file(const std::vector<float>& planes, const ParameterSpec& spec, int bits,
                          const std::string& name) {
  std::vector<std::int64_t> shape = file_shape(spec.shape);
  shape.push_back(bits);
  HostTensor tensor{name, DType::f32, std::move(shape), std::vector<std::byte>(planes.size() * sizeof(float))};
  auto* interleaved = reinterpret_cast<float*>(tensor.bytes.data());
  const std::vector<std::size_t> places = file_places(spec.shape);
  for (std::size_t i = 0; i < places.size(); ++i) {
    float* place = interleaved + places[i] * static_cast<std::size_t>(bits);
    for (int bit = 0; bit < bits; ++bit) place[bit] = planes[static_cast<std::size_t>(bit) * places.size() + i];
  }
  return tensor;
}

std::vector<float> read_planes(const TensorFile& file, const std::string& name, const ParameterSpec& spec, int bits) {
  const HostTensor& tensor = file.at(name);
  check_shape(file, tensor, spec, {bits});
  const auto interleaved = tensor.values<float>();
  const auto numel = static_cast<std::size_t>(spec.shape.numel());
  std::vector<float> planes;
  planes.reserve(interleaved.size());
  for (int bit = 0; bit < bits; ++bit) {
    std::vector<float> plane(numel);
    for (std::size_t i = 0; i < numel; ++i) plane[i] = interleaved[i * static_cast<std::size_t>(bits) + bit];
    const std::vector<float> in_memory = from_file_layout(plane, spec.shape);
    planes.insert(planes.end(), in_memory.begin(), in_memory.end());
  }
  return planes;
}

int count_planes(const TensorFile& file, const std::string& name, int most) {
  const HostTensor& tensor = file.at(name);
  const std::int64_t bits = tensor.shape.empty() ? 0 : tensor.shape.back();
  if (bits < 1 || bits > most)
    fail(ErrorKind::checkpoint, "{}: {} has {} bit planes, expected 1..{}; is quant.max_bits too small?",
         file.path.string(), name, bits, most);
  return static_cast<int>(bits);
}

}  // namespace bsq
