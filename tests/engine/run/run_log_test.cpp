// Run logs: what a line looks like, resuming at a position, and failing disks.
#include "engine/run/run_log.h"

#include "engine/base/utc_time.h"
#include "tests/support/files.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <limits>
#include <string>
#include <vector>

using namespace bsq;
using namespace bsq::test;

namespace {

constexpr const char* kCsvHeader =
    "stage,epoch,step,learning_rate,train_loss,train_penalty,train_top1,test_loss,test_top1,test_top5,"
    "bits_per_parameter,compression,images_per_second,seconds";

EpochRow row_of_epoch(int epoch) {
  EpochRow row;
  row.stage = "bsq";
  row.epoch = epoch;
  row.step = 391 * epoch;
  row.learning_rate = 0.1;
  row.train_loss = 1.0 / 3.0;
  row.train_top1 = 86.1;
  row.compression = 5.69;
  row.seconds = 2.5;
  return row;
}

void log_epoch(RunLog& log, int epoch) {
  log.event("epoch", {{"epoch", epoch}});
  log.epoch(row_of_epoch(epoch));
  log.precision({"bsq", epoch, "conv1", 8, 7, 0.25, {1.5, 20}});
}

/// The lines without what a clock wrote.
std::vector<std::string> events_in(const fs::path& folder) {
  std::vector<std::string> lines = lines_of(folder / "metrics.jsonl");
  for (std::string& line : lines) line = line.substr(0, line.rfind(",\"t\":"));
  return lines;
}

}  // namespace

TEST_CASE("events are JSON lines in the order they were given, the schema first and the time last") {
  const TemporaryFolder folder;
  RunLog log = RunLog::create(folder.path());
  log.event("run_start", {{"name", "quickstart"}, {"alpha", 0.005}});
  log.event("epoch", {{"epoch", 1}, {"best", true}});
  const std::vector<std::string> lines = lines_of(folder / "metrics.jsonl");
  REQUIRE(lines.size() == 2);
  CHECK_THAT(lines[0],
             Catch::StartsWith(R"({"schema":1,"event":"run_start","name":"quickstart","alpha":0.005,"t":"2)"));
  CHECK_THAT(lines[1], Catch::StartsWith(R"({"event":"epoch","epoch":1,"best":true,"t":"2)"));
  CHECK_THAT(nlohmann::json::parse(lines[1]).at("t").get<std::string>(),
             Catch::Matches(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"));
}

TEST_CASE("every line is in the file as soon as it is logged") {
  const TemporaryFolder folder;
  RunLog log = RunLog::create(folder.path());
  for (int epoch = 1; epoch <= 3; ++epoch) {
    log_epoch(log, epoch);
    CHECK(lines_of(folder / "metrics.jsonl").size() == static_cast<std::size_t>(epoch));
    CHECK(lines_of(folder / "metrics.csv").size() == static_cast<std::size_t>(epoch) + 1);
    CHECK(lines_of(folder / "precision.jsonl").size() == static_cast<std::size_t>(epoch));
  }
}

TEST_CASE("numbers that are not finite are strings, however deep they lie") {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(json_line({{"a", nan}, {"b", {1.5, kInfinity}}, {"c", {{"d", -kInfinity}}}, {"e", "nan"}}) ==
        R"({"a":"NaN","b":[1.5,"Infinity"],"c":{"d":"-Infinity"},"e":"nan"})");
  CHECK(json_line({{"text", "line\nbreak \xff"}}) == "{\"text\":\"line\\nbreak \xef\xbf\xbd\"}");
}

TEST_CASE("the CSV has one header, one row per epoch, and empty cells for what was not measured") {
  const TemporaryFolder folder;
  RunLog log = RunLog::create(folder.path());
  log.epoch(row_of_epoch(1));
  const std::vector<std::string> lines = lines_of(folder / "metrics.csv");
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == kCsvHeader);
  CHECK(lines[1] == "bsq,1,391,0.1,0.3333333333333333,0,86.1,,,,,5.69,0,2.5");
  CHECK(std::stod("0.3333333333333333") == 1.0 / 3.0);  // nothing is lost in the text
  error_of(ErrorKind::internal, [&] {
    EpochRow row;
    row.stage = "a,b";
    log.epoch(row);
  });
}

TEST_CASE("a re-quantization leaves one line per layer") {
  const TemporaryFolder folder;
  RunLog log = RunLog::create(folder.path());
  log.precision({"bsq", 50, "layer1.0.conv1", 8, 2, 0.25, {1.5, 20}});
  CHECK(lines_of(folder / "precision.jsonl") ==
        std::vector<std::string>{R"({"stage":"bsq","epoch":50,"layer":"layer1.0.conv1","bits_before":8,"bits_after":2,)"
                                 R"("scale":0.25,"density":[1.5,20.0]})"});
}

TEST_CASE("a killed run resumes at its checkpoint and ends with the log of a straight one") {
  const TemporaryFolder straight, resumed;
  {
    RunLog log = RunLog::create(straight.path());
    for (int epoch = 1; epoch <= 4; ++epoch) log_epoch(log, epoch);
  }
  LogPosition position;
  {
    RunLog log = RunLog::create(resumed.path());
    log_epoch(log, 1);
    log_epoch(log, 2);
    position = log.position();
    log_epoch(log, 3);
    std::ofstream(resumed / "metrics.jsonl", std::ios::app) << "{\"event\":\"ep";  // killed in the middle of a line
  }
  CHECK(position.metrics_bytes < static_cast<std::int64_t>(fs::file_size(resumed / "metrics.jsonl")));
  RunLog log = RunLog::resume(resumed.path(), position);
  CHECK(log.position() == position);
  log.sync();
  log_epoch(log, 3);
  log_epoch(log, 4);
  CHECK(events_in(resumed.path()) == events_in(straight.path()));
  CHECK(text_of(resumed / "metrics.csv") == text_of(straight / "metrics.csv"));
  CHECK(text_of(resumed / "precision.jsonl") == text_of(straight / "precision.jsonl"));
}

TEST_CASE("resuming at the very start writes the schema and the header again") {
  const TemporaryFolder folder;
  {
    RunLog log = RunLog::create(folder.path());
    log_epoch(log, 1);
  }
  RunLog log = RunLog::resume(folder.path(), {});
  log_epoch(log, 1);
  CHECK_THAT(text_of(folder / "metrics.jsonl"), Catch::StartsWith(R"({"schema":1,"event":"epoch")"));
  CHECK(lines_of(folder / "metrics.csv").size() == 2);
  CHECK(lines_of(folder / "metrics.csv")[0] == kCsvHeader);
}

TEST_CASE("a log shorter than its checkpoint says is refused before any file is cut") {
  const TemporaryFolder folder;
  LogPosition position;
  {
    RunLog log = RunLog::create(folder.path());
    log_epoch(log, 1);
    position = log.position();
    log_epoch(log, 2);
  }
  const std::string metrics = text_of(folder / "metrics.jsonl");
  SECTION("shorter") {
    fs::resize_file(folder / "precision.jsonl", 10);
    CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { RunLog::resume(folder.path(), position); }),
               Catch::Contains("precision.jsonl: 10 bytes, the checkpoint was written after") &&
                   Catch::Contains("the log was changed since"));
  }
  SECTION("missing") {
    fs::remove(folder / "precision.jsonl");
    CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { RunLog::resume(folder.path(), position); }),
               Catch::Contains("precision.jsonl: cannot resume the log: No such file or directory"));
  }
  SECTION("a position that is none") {
    position.csv_bytes = -1;
    CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { RunLog::resume(folder.path(), position); }),
               Catch::Contains("metrics.csv"));
  }
  CHECK(text_of(folder / "metrics.jsonl") == metrics);
}

TEST_CASE("a full disk while logging names the file") {
  const TemporaryFolder folder;
  fs::create_symlink("/dev/full", folder / "metrics.jsonl");
  RunLog log = RunLog::create(folder.path());
  CHECK(error_of(ErrorKind::checkpoint, [&] { log.event("epoch"); }) ==
        (folder / "metrics.jsonl").string() + ": cannot write: No space left on device; free some space on that disk");
}

TEST_CASE("a line that does not fit on the disk leaves no half behind") {
  const TemporaryFolder folder;
  RunLog log = RunLog::create(folder.path());
  log.event("run_start");
  const std::string before = text_of(folder / "metrics.jsonl");
  {
    const FileSizeLimit limit(200);
    error_of(ErrorKind::checkpoint, [&] { log.event("note", {{"text", std::string(1000, 'x')}}); });
  }
  CHECK(text_of(folder / "metrics.jsonl") == before);
  log.event("run_end");
  CHECK(lines_of(folder / "metrics.jsonl").size() == 2);
}

TEST_CASE("logs in a folder without permission are refused") {
  const TemporaryFolder folder;
  fs::permissions(folder.path(), fs::perms(0555));
  BSQ_DROP_PRIVILEGES();
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { RunLog::create(folder.path()); }),
             Catch::Contains("metrics.jsonl: cannot open for writing: Permission denied"));
}

TEST_CASE("moments are written in UTC, to the millisecond or as a name") {
  const auto time = std::chrono::sys_days{std::chrono::year{2026} / 1 / 31} + std::chrono::milliseconds(45'296'007);
  CHECK(utc_timestamp(time) == "2026-01-31T12:34:56.007Z");
  CHECK(utc_folder_stamp(time) == "20260131-123456");
}

TEST_CASE("a log in memory has the lines of one in files") {
  const TemporaryFolder folder;
  RunLog files = RunLog::create(folder.path());
  LogLines lines;
  RunLog memory = RunLog::in_memory(lines);
  RunLog nowhere = RunLog::nowhere();
  for (RunLog* log : {&files, &memory, &nowhere})
    for (const int epoch : {1, 2}) log_epoch(*log, epoch);
  CHECK(lines.csv == lines_of(folder / "metrics.csv"));
  CHECK(lines.precision == lines_of(folder / "precision.jsonl"));
  std::vector<std::string> events = lines.metrics;
  for (std::string& line : events) line = line.substr(0, line.rfind(",\"t\":"));
  CHECK(events == events_in(folder.path()));
  CHECK(memory.is_in_memory());
  CHECK_FALSE(memory.drops_all());
  CHECK_FALSE(files.is_in_memory());
  CHECK_FALSE(files.drops_all());
  CHECK(nowhere.drops_all());
}
