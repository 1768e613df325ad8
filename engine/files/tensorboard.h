// An event file of TensorBoard: <run>/tb/events.out.tfevents.<unix time>.<host>.<process>.0, append-only.
//
// Layout: records {u64 length, u32 masked CRC32C of the length, data, u32 masked CRC32C of the data}, little-endian;
// data is an Event in protobuf's encoding, of which the few fields below are written: file_version, scalars, texts and
// the mark of a start. A record is written by one call, so that a killed run leaves half a record at most, which
// readers take for the end. Formats: tensorflow/core/lib/io/record_writer.h,
// tensorboard/compat/proto/{event,summary}.proto.
#pragma once

#include "engine/files/posix_file.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace bsq {

using Scalar = std::pair<std::string, double>;  // tag, value; kept as float

class TensorBoard {
 public:
  /// Starts a file that readers take after those that are there. What those say of steps after `last_step` is void: a
  /// killed run may have gone on beyond its last checkpoint. Throws Error(checkpoint) as all members do.
  static TensorBoard start(const std::filesystem::path& run, std::int64_t last_step);

  void scalars(std::int64_t step, std::span<const Scalar> scalars);
  /// Writes a text in Markdown under `tag`.
  void text(std::int64_t step, std::string_view tag, std::string_view markdown);

 private:
  explicit TensorBoard(PosixFile file) : file_(std::move(file)) {}
  void append(std::string_view event);

  PosixFile file_;
  std::int64_t size_bytes_ = 0;
};

/// Castagnoli's CRC, as in iSCSI.
std::uint32_t crc32c(std::string_view bytes);
/// A record of the file.
std::string framed(std::string_view data);

}  // namespace bsq
