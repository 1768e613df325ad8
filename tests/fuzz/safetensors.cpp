// Files of tensors, whatever is in them: what was read fills its shapes, and is the same when it is written and read.
#include "engine/files/safetensors.h"
#include "tests/fuzz/foreign_bytes.h"

namespace {

using namespace bsq;

void check_tensors(const TensorFile& file) {
  std::string before;
  for (const HostTensor& tensor : file.tensors) {
    fuzz::must_hold(static_cast<std::size_t>(tensor.numel()) * size_of(tensor.dtype) == tensor.bytes.size(),
                    "a tensor fills its shape");
    fuzz::must_hold(&tensor == file.tensors.data() || before < tensor.name, "tensors are sorted by name");
    before = tensor.name;
  }
}

void check_round_trip(const TensorFile& file) {
  const std::filesystem::path copy = fuzz::scratch() / "copy.safetensors";
  write_safetensors(copy, file);
  const TensorFile again = read_safetensors(copy);
  bool same = again.metadata == file.metadata && again.tensors.size() == file.tensors.size();
  for (std::size_t i = 0; same && i < file.tensors.size(); ++i) {
    const HostTensor &a = file.tensors[i], &b = again.tensors[i];
    same = a.name == b.name && a.dtype == b.dtype && a.shape == b.shape && a.bytes == b.bytes;
  }
  fuzz::must_hold(same, "what was read can be written and read again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::filesystem::path path = fuzz::put("file.safetensors", fuzz::text_of(data, size));
  fuzz::ends_well({ErrorKind::checkpoint}, [&] {
    is_pytorch_file(path);
    TensorFile file = read_safetensors(path);
    check_tensors(file);
    check_round_trip(file);
    widen_to_float32(file);
    check_tensors(file);
    check_finite(file);
  });
  return 0;
}
