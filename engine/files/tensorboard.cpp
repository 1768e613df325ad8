// The encoding of events (engine/files/tensorboard.h): protobuf fields are a tag (number * 8 + wire type) and a value.
#include "engine/files/tensorboard.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <charconv>
#include <chrono>
#include <cstring>

namespace bsq {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFolder = "tb";
constexpr std::string_view kNameStart = "events.out.tfevents.";
// From this version on, readers look for the mark of a start.
constexpr std::string_view kFileVersion = "brain.Event:2";
constexpr std::uint32_t kMaskDelta = 0xa282ead8U;

static_assert(std::endian::native == std::endian::little, "numbers are copied as they are");

constexpr std::array<std::uint32_t, 256> crc_table() {
  constexpr std::uint32_t kReversedPolynomial = 0x82f63b78U;
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc % 2 == 1 ? kReversedPolynomial : 0);
    table[byte] = crc;
  }
  return table;
}

template <typename T>
std::string bytes_of(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

/// A CRC of data that holds CRCs itself is weak, so those in the file are turned and shifted.
std::string masked_crc(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return bytes_of(std::rotr(crc, 15) + kMaskDelta);
}

// ---- protobuf -----------------------------------------------------------------------------------------------------

enum class WireType : unsigned char { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes += static_cast<char>(value);
}

std::string key(int field, WireType type) {
  return varint(static_cast<std::uint64_t>(field) << 3 | static_cast<std::uint64_t>(type));
}

std::string number(int field, std::int64_t value) {
  return key(field, WireType::varint) + varint(static_cast<std::uint64_t>(value));
}

/// A text or an embedded message.
std::string bytes(int field, std::string_view content) {
  return key(field, WireType::bytes) + varint(content.size()) + std::string(content);
}

/// Event {wall_time = 1, step = 2, `content`}
std::string event(std::int64_t step, const std::string& content) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  return key(1, WireType::fixed64) + bytes_of(now.count()) + number(2, step) + content;
}

/// Event.file_version = 3
std::string version_event() {
  return event(0, bytes(3, kFileVersion));
}

/// Event.session_log = 7, SessionLog {status = 1: START}: readers drop what they have of `step` and later ones.
std::string start_event(std::int64_t step) {
  constexpr int kStart = 1;
  return event(step, bytes(7, number(1, kStart)));
}

// ---- names --------------------------------------------------------------------------------------------------------

/// The time in the name of an event file; 0 in any other name, and where it is no time that there will be.
std::int64_t time_in_name(std::string_view name) {
  constexpr std::int64_t kLatest = 253'402'300'799;  // the last second of the year 9999
  std::int64_t time = 0;
  if (!name.starts_with(kNameStart)) return 0;
  std::from_chars(name.data() + kNameStart.size(), name.data() + name.size(), time);
  return time <= kLatest ? time : 0;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

/// Readers take files in the order of their names, so this one's time is later than any there.
fs::path next_file(const fs::path& folder) {
  std::int64_t time =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code))
    time = std::max(time, time_in_name(entry->path().filename().string()) + 1);
  check_file(code, ErrorKind::checkpoint, folder, "cannot list");
  return folder / fmt::format("{}{}.{}.{}.0", kNameStart, time, host_name(), ::getpid());
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<std::uint32_t, 256> kTable = crc_table();
  std::uint32_t crc = ~0U;
  for (const char byte : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(byte)) & 0xff];
  return ~crc;
}

std::string framed(std::string_view data) {
  const std::string length = bytes_of(static_cast<std::uint64_t>(data.size()));
  return length + masked_crc(length) + std::string(data) + masked_crc(data);
}

TensorBoard TensorBoard::start(const fs::path& run, std::int64_t last_step) {
  const fs::path folder = run / kFolder;
  std::error_code code;
  fs::create_directories(folder, code);
  check_file(code, ErrorKind::checkpoint, folder, "cannot create the folder of event files");
  TensorBoard board(PosixFile::open_append(next_file(folder), ErrorKind::checkpoint));
  board.append(version_event());
  board.append(start_event(last_step + 1));
  return board;
}

void TensorBoard::scalars(std::int64_t step, std::span<const Scalar> scalars) {
  std::string summary;  // Summary {value = 1}, Value {tag = 1, simple_value = 2}
  for (const auto& [tag, value] : scalars)
    summary += bytes(1, bytes(1, tag) + key(2, WireType::fixed32) + bytes_of(static_cast<float>(value)));
  append(event(step, bytes(5, summary)));
}

void TensorBoard::text(std::int64_t step, std::string_view tag, std::string_view markdown) {
  constexpr int kString = 7;       // DataType
  constexpr int kTensorClass = 2;  // DataClass
  // TensorProto {dtype = 1, tensor_shape = 2: that of one value, string_val = 8}
  const std::string tensor = number(1, kString) + bytes(2, "") + bytes(8, markdown);
  // SummaryMetadata {plugin_data = 1 {plugin_name = 1}, data_class = 4}
  const std::string metadata = bytes(1, bytes(1, "text")) + number(4, kTensorClass);
  // Value {tag = 1, tensor = 8, metadata = 9}
  append(event(step, bytes(5, bytes(1, bytes(1, tag) + bytes(8, tensor) + bytes(9, metadata)))));
}

void TensorBoard::append(std::string_view event) {
  const std::string record = framed(event);
  try {
    file_.write(record);
  } catch (const Error&) {
    try {
      file_.truncate(size_bytes_);
    } catch (const Error&) {  // the first failure is the one to report
    }
    throw;
  }
  size_bytes_ += static_cast<std::int64_t>(record.size());
}

}  // namespace bsq
