#include "engine/input/fingerprint.h"

#include "kernels/base/hash.h"

namespace bsq {

SetFingerprint::SetFingerprint(const DatasetInfo& info) : hash(kEmptyHash) {
  for (const std::string& name : info.class_names) hash = hash_of(name, mix_word(hash, name.size()));
  hash = mix_word(mix_word(hash, static_cast<std::uint64_t>(info.height)), static_cast<std::uint64_t>(info.width));
  if (info.channels != 3) hash = mix_word(hash, static_cast<std::uint64_t>(info.channels));
}

void SetFingerprint::add(std::int32_t label, std::span<const std::uint8_t> pixels) {
  ++images;
  hash = mix_bytes(mix_word(hash, static_cast<std::uint64_t>(label)), std::as_bytes(pixels));
}

SetFingerprint SetFingerprint::of_files(const Dataset& images) {
  SetFingerprint found(images.info());
  found.is_of_files = true;
  found.images = images.size();
  for (std::int64_t i = 0; i < images.size(); ++i)
    found.hash = mix_word(mix_word(found.hash, static_cast<std::uint64_t>(images.label(i))), images.identity(i));
  return found;
}

}  // namespace bsq
