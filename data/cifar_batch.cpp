#include "data/cifar_batch.h"

#include "data/files.h"
#include "data/pickle.h"
#include "kernels/base/error.h"

#include <algorithm>

namespace bsq {
namespace {

/// Throws Error(data) unless it is there, of that kind.
const PickleValue& entry(const Pickle& pickle, const std::filesystem::path& path, const std::string& key,
                         PickleValue::Kind kind, const char* what) {
  const PickleValue* found =
      pickle.root().kind == PickleValue::Kind::dictionary ? pickle.find(pickle.root(), key) : nullptr;
  if (found == nullptr || found->kind != kind)
    fail(ErrorKind::data, "{}: no '{}' with {} in it; is it a file of CIFAR for Python?", path.string(), key, what);
  return *found;
}

}  // namespace

void CifarBatch::read(std::int64_t image, std::span<std::uint8_t, kCifarImageBytes> planes) const {
  if (decoded.empty()) return file.read_at(first + image * stride, std::as_writable_bytes(planes));
  std::copy_n(decoded.begin() + image * kCifarImageBytes, kCifarImageBytes, planes.begin());
}

CifarBatch open_python_batch(const std::filesystem::path& path, const std::string& labels_key, std::int64_t images) {
  PosixFile file = PosixFile::open_regular(path, ErrorKind::data);
  const auto file_bytes = static_cast<std::size_t>(file.size_bytes());
  const Pickle pickle = Pickle::read(path);
  const PickleValue& data = entry(pickle, path, "data", PickleValue::Kind::array, "an array");
  const PickleValue& labels = entry(pickle, path, labels_key, PickleValue::Kind::list, "a list");
  if (data.members != std::vector<std::size_t>{static_cast<std::size_t>(images), kCifarImageBytes})
    fail(ErrorKind::data, "{}: 'data' is no array of {} images of {} bytes", path.string(), images, kCifarImageBytes);
  if (labels.members.size() != static_cast<std::size_t>(images))
    fail(ErrorKind::data, "{}: {} {} for {} images", path.string(), labels.members.size(), labels_key, images);
  CifarBatch batch{std::move(file), static_cast<std::int64_t>(data.begin), kCifarImageBytes, {}, {}};
  if (data.begin >= file_bytes) {
    const auto bytes = pickle.bytes_of(data);
    batch.decoded.assign(bytes.begin(), bytes.end());
  }
  for (const std::size_t member : labels.members) {
    const PickleValue& label = pickle.value(member);
    if (label.kind != PickleValue::Kind::number)
      fail(ErrorKind::data, "{}: label {} of '{}' is no number", path.string(), batch.labels.size(), labels_key);
    batch.labels.push_back(label.number);
  }
  return batch;
}

std::vector<std::string> python_class_names(const std::filesystem::path& path, const std::string& key) {
  const Pickle pickle = Pickle::read(path);
  std::vector<std::string> names;
  for (const std::size_t member : entry(pickle, path, key, PickleValue::Kind::list, "a list").members) {
    const PickleValue& name = pickle.value(member);
    if (name.kind != PickleValue::Kind::text)
      fail(ErrorKind::data, "{}: name {} of '{}' is no text", path.string(), names.size(), key);
    names.emplace_back(pickle.text(name));
  }
  return names;
}

}  // namespace bsq
