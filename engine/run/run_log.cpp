// Writing and cutting back the logs of a run (engine/run/run_log.h).
#include "engine/run/run_log.h"

#include "engine/base/utc_time.h"

#include <cmath>
#include <utility>

namespace bsq {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr int kSchema = 1;
constexpr const char* kMetricsFile = "metrics.jsonl";
constexpr const char* kCsvFile = "metrics.csv";
constexpr const char* kPrecisionFile = "precision.jsonl";

using Cells = std::vector<std::pair<const char*, std::string>>;

std::string cell(double value) {
  return fmt::format("{}", value);
}  // shortest text that reads back the same
std::string cell(std::optional<double> value) {
  return value ? cell(*value) : std::string();
}

/// Header and row from one list, so that they cannot disagree.
Cells cells_of(const EpochRow& row) {
  return {{"stage", row.stage},
          {"epoch", fmt::format("{}", row.epoch)},
          {"step", fmt::format("{}", row.step)},
          {"learning_rate", cell(row.learning_rate)},
          {"train_loss", cell(row.train_loss)},
          {"train_penalty", cell(row.train_penalty)},
          {"train_top1", cell(row.train_top1)},
          {"test_loss", cell(row.test_loss)},
          {"test_top1", cell(row.test_top1)},
          {"test_top5", cell(row.test_top5)},
          {"bits_per_parameter", cell(row.bits_per_parameter)},
          {"compression", cell(row.compression)},
          {"images_per_second", cell(row.images_per_second)},
          {"seconds", cell(row.seconds)}};
}

/// The tags of TensorBoard.
std::vector<Scalar> scalars_of(const EpochRow& row) {
  std::vector<Scalar> scalars = {{"train/loss", row.train_loss},
                                 {"train/reg", row.train_penalty},
                                 {"train/top1", row.train_top1},
                                 {"optim/lr", row.learning_rate},
                                 {"perf/images_per_second", row.images_per_second}};
  const auto add = [&](const char* tag, std::optional<double> value) {
    if (value) scalars.emplace_back(tag, *value);
  };
  add("val/loss", row.test_loss);
  add("val/top1", row.test_top1);
  add("quant/bits_per_parameter", row.bits_per_parameter);
  add("quant/compression", row.compression);
  for (const auto& [layer, bits] : row.layer_bits) scalars.emplace_back("layers/" + layer + "/bits", bits);
  return scalars;
}

std::string csv_header() {
  std::vector<std::string> names;
  for (const auto& [name, value] : cells_of({})) names.emplace_back(name);
  return fmt::format("{}", fmt::join(names, ","));
}

std::string csv_line(const EpochRow& row) {
  require(row.stage.find_first_of(",\"\n") == std::string::npos, "stage '{}' needs quoting in a CSV file", row.stage);
  std::vector<std::string> values;
  for (const auto& [name, value] : cells_of(row)) values.push_back(value);
  return fmt::format("{}", fmt::join(values, ","));
}

void spell_out_non_finite(ordered_json& value) {
  if (value.is_structured()) {
    for (ordered_json& element : value) spell_out_non_finite(element);
  } else if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    const double number = value.get<double>();
    value = std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity";
  }
}

void check_length(const fs::path& path, std::int64_t wanted_bytes) {
  if (wanted_bytes == 0) return;  // a run killed before its first checkpoint may have no log yet
  std::error_code code;
  const std::uintmax_t found_bytes = fs::file_size(path, code);
  check_file(code, ErrorKind::checkpoint, path, "cannot resume the log");
  if (wanted_bytes >= 0 && found_bytes >= static_cast<std::uintmax_t>(wanted_bytes)) return;
  fail(ErrorKind::checkpoint,
       "{}: {} bytes, the checkpoint was written after {}; the log was changed since, restore it", path.string(),
       found_bytes, wanted_bytes);
}

}  // namespace

RunLog::RunLog(const fs::path& folder)
    : metrics_{PosixFile::open_append(folder / kMetricsFile, ErrorKind::checkpoint)},
      csv_{PosixFile::open_append(folder / kCsvFile, ErrorKind::checkpoint)},
      precision_{PosixFile::open_append(folder / kPrecisionFile, ErrorKind::checkpoint)} {}

RunLog RunLog::create(const fs::path& folder) {
  RunLog log(folder);
  for (const LogFile* file : {&log.metrics_, &log.csv_, &log.precision_}) {
    require(file->file->size_bytes() == 0, "{}: a fresh run has no log yet", file->file->path().string());
  }
  append(log.csv_, csv_header());
  return log;
}

void RunLog::copy(const fs::path& from, const LogPosition& position, const fs::path& folder) {
  const std::pair<const char*, std::int64_t> files[] = {{kMetricsFile, position.metrics_bytes},
                                                        {kCsvFile, position.csv_bytes},
                                                        {kPrecisionFile, position.precision_bytes}};
  for (const auto& [name, bytes] : files) {
    check_length(from / name, bytes);
    const std::string text = bytes > 0 ? read_text_file(from / name, ErrorKind::checkpoint) : "";
    PosixFile file = PosixFile::open_append(folder / name, ErrorKind::checkpoint);
    file.write(std::string_view(text).substr(0, static_cast<std::size_t>(bytes)));
    file.sync();
  }
}

RunLog RunLog::in_memory(LogLines& lines) {
  RunLog log;
  log.metrics_.lines = &lines.metrics;
  log.csv_.lines = &lines.csv;
  log.precision_.lines = &lines.precision;
  append(log.csv_, csv_header());
  return log;
}

RunLog RunLog::resume(const fs::path& folder, const LogPosition& position) {
  check_length(folder / kMetricsFile, position.metrics_bytes);  // all three before any is cut
  check_length(folder / kCsvFile, position.csv_bytes);
  check_length(folder / kPrecisionFile, position.precision_bytes);
  RunLog log(folder);
  log.metrics_.size_bytes = position.metrics_bytes;
  log.csv_.size_bytes = position.csv_bytes;
  log.precision_.size_bytes = position.precision_bytes;
  for (LogFile* file : {&log.metrics_, &log.csv_, &log.precision_}) file->file->truncate(file->size_bytes);
  if (log.csv_.size_bytes == 0) append(log.csv_, csv_header());
  return log;
}

void RunLog::append(LogFile& log, std::string_view line) {
  if (log.lines != nullptr) {
    log.lines->emplace_back(line);
    log.size_bytes += static_cast<std::int64_t>(line.size()) + 1;
  }
  if (!log.file) return;
  try {
    log.file->write(std::string(line) + "\n");  // one call: a reader sees whole lines
  } catch (const Error&) {
    try {
      log.file->truncate(log.size_bytes);  // half a line would make the file unreadable
    } catch (const Error&) {               // the first failure is the one to report
    }
    throw;
  }
  log.size_bytes += static_cast<std::int64_t>(line.size()) + 1;
}

void RunLog::event(std::string_view event, ordered_json fields) {
  ordered_json record;
  if (metrics_.size_bytes == 0) record["schema"] = kSchema;
  record["event"] = event;
  for (auto& [name, value] : fields.items()) record[name] = std::move(value);
  record["t"] = utc_timestamp();
  append(metrics_, json_line(std::move(record)));
}

void RunLog::epoch(const EpochRow& row) {
  append(csv_, csv_line(row));
  if (board_) board_->scalars(row.epoch_of_run, scalars_of(row));
}

void RunLog::precision(const PrecisionRow& row) {
  append(precision_, json_line({{"stage", row.stage},
                                {"epoch", row.epoch},
                                {"layer", row.layer},
                                {"bits_before", row.bits_before},
                                {"bits_after", row.bits_after},
                                {"scale", row.scale},
                                {"density", row.density}}));
}

LogPosition RunLog::position() const {
  return {metrics_.size_bytes, csv_.size_bytes, precision_.size_bytes};
}

void RunLog::sync() {
  for (LogFile* log : {&metrics_, &csv_, &precision_})
    if (log->file) log->file->sync();
}

std::string json_line(ordered_json record) {
  spell_out_non_finite(record);
  return record.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace bsq
