// Event files of TensorBoard: checksums, framing, what a reader gets back, files one after the other, failing disks.
#include "engine/files/tensorboard.h"
#include "engine/run/run_log.h"

#include "tests/support/event_file.h"
#include "tests/support/files.h"

#include <chrono>
#include <limits>

using namespace bsq;
using namespace bsq::test;

namespace {

void write_epochs(TensorBoard& board, int first, int last, double value) {
  for (int epoch = first; epoch <= last; ++epoch)
    board.scalars(epoch, std::vector<Scalar>{{"train/loss", value + epoch}});
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

TEST_CASE("crc32c gives the values of RFC 3720 and of other implementations") {
  CHECK(crc32c("") == 0);
  CHECK(crc32c("123456789") == 0xe3069283);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aa);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43);
  std::string counting;
  for (int i = 0; i < 32; ++i) counting += static_cast<char>(i);
  CHECK(crc32c(counting) == 0x46dd794e);
}

TEST_CASE("a record is length, masked checksum, data, masked checksum") {
  const std::string record = framed("123456789");
  REQUIRE(record.size() == 8 + 4 + 9 + 4);
  CHECK(record.substr(0, 8) == std::string("\x09\0\0\0\0\0\0\0", 8));
  CHECK(record.substr(12, 9) == "123456789");
  // 0xe3069283 turned right by 15 is 0x2507c60d; + 0xa282ead8 = 0xc78ab0e5
  CHECK(number_at<std::uint32_t>(record, 21) == 0xc78ab0e5);
  CHECK(number_at<std::uint32_t>(record, 8) == masked_castagnoli(record.substr(0, 8)));
}

TEST_CASE("what is written is read back by a decoder that shares nothing with the encoder") {
  const TemporaryFolder folder;
  const double before = seconds_now();
  {
    TensorBoard board = TensorBoard::start(folder.path(), 0);
    board.text(0, "config", "    name: tiny\n");
    board.scalars(1, std::vector<Scalar>{{"train/loss", 1.0 / 3.0}, {"val/top1", 86.1}});
    board.scalars(350, std::vector<Scalar>{{"a", -std::numeric_limits<double>::infinity()}, {"b", 0.0}});
  }
  REQUIRE(event_files(folder.path()).size() == 1);
  const std::vector<Event> events = read_events(event_files(folder.path()).front());
  REQUIRE(events.size() == 5);
  CHECK(events[0].file_version == "brain.Event:2");
  CHECK((events[1].starts && events[1].step == 1));
  CHECK(events[2].texts == std::map<std::string, std::string>{{"config", "    name: tiny\n"}});
  CHECK(events[3].step == 1);
  CHECK(events[3].scalars ==
        std::vector<std::pair<std::string, float>>{{"train/loss", 1.0F / 3.0F}, {"val/top1", 86.1F}});
  CHECK(events[4].step == 350);
  CHECK(events[4].scalars[0].second == -std::numeric_limits<float>::infinity());
  for (const Event& event : events) CHECK((event.wall_time >= before && event.wall_time <= seconds_now()));
}

TEST_CASE("event files are named so that readers find them and take them one after the other") {
  const TemporaryFolder folder;
  for (int i = 0; i < 3; ++i) {  // within one second
    TensorBoard board = TensorBoard::start(folder.path(), i);
    write_epochs(board, i + 1, i + 1, 0);
  }
  const std::vector<fs::path> files = event_files(folder.path());
  REQUIRE(files.size() == 3);
  for (std::size_t i = 0; i < files.size(); ++i) {
    CHECK_THAT(files[i].filename().string(), Catch::Matches(R"(events\.out\.tfevents\.\d{10}\..+\.\d+\.0)"));
    CHECK(read_events(files[i]).back().step == static_cast<std::int64_t>(i) + 1);
  }
  put_text(folder / "tb/events.out.tfevents.9999999990.other.7.0", "");
  TensorBoard::start(folder.path(), 3);
  CHECK_THAT(event_files(folder.path()).back().string(), Catch::Contains("tfevents.9999999991."));
  put_text(folder / "tb/events.out.tfevents.9223372036854775807.other.7.0", "");  // no time that a later one could have
  TensorBoard::start(folder.path(), 3);
  CHECK(event_files(folder.path()).size() == 7);
}

TEST_CASE("what a killed run wrote beyond its checkpoint is shown once, with the values of the resumed one") {
  const TemporaryFolder folder;
  {
    TensorBoard board = TensorBoard::start(folder.path(), 0);
    write_epochs(board, 1, 5, 100);
  }
  {
    std::ofstream half(event_files(folder.path()).front(), std::ios::app);  // killed while it wrote
    half << framed("an event that was never finished").substr(0, 30);
  }
  TensorBoard board = TensorBoard::start(folder.path(), 3);
  write_epochs(board, 4, 6, 200);
  CHECK(shown_scalars(folder.path()).at("train/loss") ==
        std::vector<std::pair<std::int64_t, float>>{{1, 101}, {2, 102}, {3, 103}, {4, 204}, {5, 205}, {6, 206}});
}

TEST_CASE("the row of an epoch becomes scalars, without what was not measured") {
  const TemporaryFolder folder;
  RunLog log = RunLog::create(folder.path());
  log.add(TensorBoard::start(folder.path(), 0));
  EpochRow row;
  row.stage = "bsq";
  row.epoch = 2;
  row.epoch_of_run = 352;
  row.learning_rate = 0.5;
  row.train_loss = 0.25;
  row.train_penalty = 3;
  row.train_top1 = 75;
  row.test_loss = 0.75;
  row.test_top1 = 62.5;
  row.test_top5 = 99;
  row.images_per_second = 4096;
  SECTION("float") {
    log.epoch(row);
    const auto shown = shown_scalars(folder.path());
    CHECK(shown.size() == 7);
    CHECK(shown.count("quant/compression") == 0);
  }
  SECTION("quantized, with layers") {
    row.bits_per_parameter = 5.5;
    row.compression = 5.8125;
    row.layer_bits = {{"conv1", 8}, {"fc.bias", 3}};
    log.epoch(row);
    const std::map<std::string, float> expected = {{"train/loss", 0.25F},
                                                   {"train/reg", 3},
                                                   {"train/top1", 75},
                                                   {"val/loss", 0.75F},
                                                   {"val/top1", 62.5F},
                                                   {"optim/lr", 0.5F},
                                                   {"quant/compression", 5.8125F},
                                                   {"quant/bits_per_parameter", 5.5F},
                                                   {"perf/images_per_second", 4096},
                                                   {"layers/conv1/bits", 8},
                                                   {"layers/fc.bias/bits", 3}};
    const auto shown = shown_scalars(folder.path());
    CHECK(shown.size() == expected.size());
    for (const auto& [tag, value] : expected) {
      INFO(tag);
      REQUIRE(shown.count(tag) == 1);
      CHECK(shown.at(tag) == std::vector<std::pair<std::int64_t, float>>{{352, value}});
    }
  }
}

TEST_CASE("an event that does not fit on the disk is an error and leaves no half behind") {
  const TemporaryFolder folder;
  TensorBoard board = TensorBoard::start(folder.path(), 0);
  const fs::path file = event_files(folder.path()).front();
  const std::string before = text_of(file);
  {
    const FileSizeLimit limit(static_cast<rlim_t>(before.size()) + 100);
    CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { board.text(0, "config", std::string(1000, 'x')); }),
               Catch::Contains(file.string() + ": cannot write: File too large"));
  }
  CHECK(text_of(file) == before);
  write_epochs(board, 1, 1, 0);
  CHECK(read_events(file).size() == 3);
}

TEST_CASE("event files that cannot be made are an error that names them") {
  const TemporaryFolder folder;
  SECTION("a file in the place of the folder") {
    put_text(folder / "tb", "mine");
    CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { TensorBoard::start(folder.path(), 0); }),
               Catch::Contains("tb: cannot create the folder of event files: Not a directory"));
  }
  SECTION("no permission") {
    fs::create_directory(folder / "tb");
    fs::permissions(folder / "tb", fs::perms(0555));
    BSQ_DROP_PRIVILEGES();
    CHECK_THAT(
        error_of(ErrorKind::checkpoint, [&] { TensorBoard::start(folder.path(), 0); }),
        Catch::Contains("tb/events.out.tfevents.") && Catch::Contains("cannot open for writing: Permission denied"));
  }
}
