// Logs that are cut back when a run goes on: the position that its checkpoint says, three logs, and the name of an
// event file that is there.
#include "engine/files/json.h"
#include "engine/run/progress.h"
#include "tests/fuzz/foreign_bytes.h"

#include <algorithm>

namespace {

using namespace bsq;

/// The position as a checkpoint says it, among numbers that are in order.
LogPosition position_in(std::string_view text) {
  nlohmann::json progress = to_json(Progress{});
  progress["logs"] = parse_json_or_discard(text);
  return progress_from_json(progress, "state.json").logs;
}

void resume(const LogPosition& position) {
  RunLog log = RunLog::resume(fuzz::scratch(), position);
  const std::int64_t before = log.position().metrics_bytes;
  log.event("resume");
  EpochRow row;
  row.stage = "bsq";
  log.epoch(row);
  PrecisionRow precision;
  precision.layer = "conv1";
  log.precision(precision);
  fuzz::must_hold(before == position.metrics_bytes && log.position().metrics_bytes > before,
                  "a log goes on from its position");
  const auto size_bytes = std::filesystem::file_size(fuzz::scratch() / "metrics.jsonl");
  fuzz::must_hold(static_cast<std::int64_t>(size_bytes) == log.position().metrics_bytes, "a log ends at its position");
}

/// Nothing if it cannot be the name of a file.
std::string event_file(std::string_view piece) {
  std::string name(piece.substr(0, std::min(piece.find('\n'), piece.size())));
  const bool fits = name.size() < 200 && name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
  return fits && !name.empty() && name != "." && name != ".." ? "tb/" + name : "";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::string_view> files = fuzz::pieces(fuzz::text_of(data, size), 5);
  fuzz::put("metrics.jsonl", files[1]);
  fuzz::put("metrics.csv", files[2]);
  fuzz::put("precision.jsonl", files[3]);
  const std::filesystem::path board = fuzz::scratch() / "tb";
  std::filesystem::remove_all(board);
  std::filesystem::create_directory(board);
  if (const std::string name = event_file(files[4]); !name.empty()) fuzz::put(name, "");
  fuzz::ends_well({ErrorKind::checkpoint}, [&] {
    const LogPosition position = position_in(files[0]);
    resume(position);
    TensorBoard::start(fuzz::scratch(), position.csv_bytes);
  });
  return 0;
}
