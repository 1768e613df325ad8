// Event files of TensorBoard, read back: a decoder that shares nothing with engine/files/tensorboard.cpp. It knows
// protobuf's wire format and looks fields up by number, and computes the CRC bit by bit.
#pragma once

#include "tests/support/catch.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bsq::test {

struct Event {
  double wall_time = 0;
  std::int64_t step = 0;
  std::string file_version;
  bool starts = false;                                 // SessionLog.START
  std::vector<std::pair<std::string, float>> scalars;  // in the order of the file
  std::map<std::string, std::string> texts;
};

inline std::uint32_t masked_castagnoli(std::string_view bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
  }
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8;
}

template <typename T>
T number_at(std::string_view bytes, std::size_t position) {
  REQUIRE(position + sizeof(T) <= bytes.size());
  T value{};
  std::memcpy(&value, bytes.data() + position, sizeof(T));
  return value;
}

inline std::uint64_t read_varint(std::string_view message, std::size_t& position) {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    REQUIRE((position < message.size() && shift < 64));
    const auto byte = static_cast<unsigned char>(message[position++]);
    value |= std::uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return value;
  }
}

/// Field number -> contents: embedded messages and texts as they are, numbers as their bytes.
inline std::multimap<int, std::string> fields_of(std::string_view message) {
  std::multimap<int, std::string> fields;
  for (std::size_t position = 0; position < message.size();) {
    const std::uint64_t key = read_varint(message, position);
    std::size_t size = 0;
    if (key % 8 == 0) {
      const std::uint64_t value = read_varint(message, position);
      fields.emplace(key / 8, std::string(reinterpret_cast<const char*>(&value), sizeof(value)));
      continue;
    }
    if (key % 8 == 1) size = 8;
    if (key % 8 == 5) size = 4;
    if (key % 8 == 2) size = read_varint(message, position);
    REQUIRE((key % 8 == 1 || key % 8 == 2 || key % 8 == 5));
    REQUIRE(position + size <= message.size());
    fields.emplace(key / 8, std::string(message.substr(position, size)));
    position += size;
  }
  return fields;
}

/// The one content of a field; empty if there is none.
inline std::string field(const std::multimap<int, std::string>& fields, int number) {
  REQUIRE(fields.count(number) <= 1);
  const auto found = fields.find(number);
  return found == fields.end() ? std::string() : found->second;
}

inline void read_value(std::string_view message, Event& event) {
  const auto value = fields_of(message);
  if (value.count(2) == 1) event.scalars.emplace_back(field(value, 1), number_at<float>(field(value, 2), 0));
  if (value.count(8) == 0) return;
  const auto tensor = fields_of(field(value, 8));
  CHECK(number_at<std::uint64_t>(field(tensor, 1), 0) == 7);  // DT_STRING
  CHECK(tensor.count(2) == 1);                                // a shape without dimensions
  CHECK(field(fields_of(field(fields_of(field(value, 9)), 1)), 1) == "text");
  event.texts[field(value, 1)] = field(tensor, 8);
}

inline Event read_event(std::string_view message) {
  const auto fields = fields_of(message);
  Event event;
  event.wall_time = number_at<double>(field(fields, 1), 0);
  event.step = number_at<std::int64_t>(field(fields, 2), 0);
  event.file_version = field(fields, 3);
  const auto summary = fields_of(field(fields, 5));
  for (auto [value, end] = summary.equal_range(1); value != end; ++value) read_value(value->second, event);
  if (fields.count(7) == 1) event.starts = number_at<std::uint64_t>(field(fields_of(field(fields, 7)), 1), 0) == 1;
  return event;
}

/// Reads events as readers do: half a record at the end is the end, a wrong checksum is an error.
inline std::vector<Event> read_events(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(stream), {}};
  constexpr std::size_t kAround = 8 + 4 + 4;
  std::vector<Event> events;
  for (std::size_t position = 0; position + kAround <= content.size();) {
    const std::string_view record = std::string_view(content).substr(position);
    CHECK(number_at<std::uint32_t>(record, 8) == masked_castagnoli(record.substr(0, 8)));
    const auto size = number_at<std::uint64_t>(record, 0);
    if (size > record.size() - kAround) break;
    CHECK(number_at<std::uint32_t>(record, 12 + size) == masked_castagnoli(record.substr(12, size)));
    events.push_back(read_event(record.substr(12, size)));
    position += kAround + size;
  }
  return events;
}

/// The files of a run in the order in which readers take them.
inline std::vector<std::filesystem::path> event_files(const std::filesystem::path& run) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(run / "tb")) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

/// Tag -> step and value, as TensorBoard shows them of all files of a run: a start voids its step and later ones.
inline std::map<std::string, std::vector<std::pair<std::int64_t, float>>> shown_scalars(
    const std::filesystem::path& run) {
  std::map<std::string, std::vector<std::pair<std::int64_t, float>>> shown;
  for (const std::filesystem::path& file : event_files(run))
    for (const Event& event : read_events(file)) {
      if (event.starts)
        for (auto& [tag, points] : shown)
          std::erase_if(points, [&](const auto& point) { return point.first >= event.step; });
      for (const auto& [tag, value] : event.scalars) shown[tag].emplace_back(event.step, value);
    }
  return shown;
}

}  // namespace bsq::test
