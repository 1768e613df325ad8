// What is compared of two logs of one run.
#include "tools/verify/run_proofs.h"

#include "kernels/base/error.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

const std::string kHeader = "stage,epoch,step,train_loss,test_top1,images_per_second,seconds";

std::string state_line(const std::string& stage, int epoch, const std::string& hash) {
  return R"({"event":"state","stage":")" + stage + R"(","epoch":)" + std::to_string(epoch) + R"(,"state_hash":")" +
         hash + R"(","t":"now"})";
}

/// Two epochs of a stage, and its end.
LogLines whole_log() {
  return {
      .metrics = {state_line("bsq", 1, "aa"), R"({"event":"step","stage":"bsq","epoch":2,"loss":1})",
                  state_line("bsq", 2, "bb"),
                  R"({"event":"stage_end","stage":"bsq","test_top1":50.0,"model_hash":"cc","seconds":1,"t":"now"})"},
      .csv = {kHeader, "bsq,1,10,2.5,40,100,3", "bsq,2,20,2,50,100,3"},
      .precision = {}};
}

std::string difference(const LogLines& logged, const LogLines& repeated) {
  const auto found = first_difference(proofs_of(logged, "log"), proofs_of(repeated, "again"));
  return found ? found->place.text() + ": " + found->what : "";
}

}  // namespace

TEST_CASE("a log has a hash and a row of every epoch, and the result of every stage") {
  const RunProofs proofs = proofs_of(whole_log(), "log");
  REQUIRE(proofs.epochs.size() == 2);
  CHECK(proofs.epochs[1].stage == "bsq");
  CHECK(proofs.epochs[1].epoch == 2);
  CHECK(proofs.epochs[1].steps == 20);
  CHECK(proofs.epochs[1].cells == LogFields{{"step", "20"}, {"train_loss", "2"}, {"test_top1", "50"}});
  CHECK(proofs.state_after("bsq", 2) == "bb");
  CHECK(proofs.state_after("bsq", 3).empty());
  CHECK(proofs.at_end("bsq", "model_hash") == "cc");
  CHECK(proofs.at_end("bsq", "seconds").empty());
  CHECK(proofs.at_end("finetune", "model_hash").empty());
}

TEST_CASE("what a clock has measured is no difference, and so is what is missing") {
  LogLines other = whole_log();
  other.csv[1] = "bsq,1,10,2.5,40,999,9";
  other.metrics[3] = R"({"event":"stage_end","stage":"bsq","test_top1":50.0,"model_hash":"cc","seconds":7,"t":"then"})";
  CHECK(difference(whole_log(), other).empty());
  other.metrics.pop_back();
  other.csv.pop_back();
  CHECK(difference(whole_log(), other).empty());
  CHECK(difference(other, whole_log()).empty());
  other = whole_log();
  other.csv = {"stage,epoch,step,train_loss", "bsq,1,10,2.5", "bsq,2,20,2"};  // of a version with fewer columns
  CHECK(difference(other, whole_log()).empty());
}

TEST_CASE("the first difference is the one in the order of the run") {
  LogLines other = whole_log();
  other.metrics[3] = R"({"event":"stage_end","stage":"bsq","test_top1":51.0,"model_hash":"cc"})";
  CHECK(difference(whole_log(), other) == "the end of bsq, after epoch 2: test_top1 is 50.0 in the log, 51.0 repeated");
  other.metrics[2] = state_line("bsq", 2, "bc");
  CHECK(difference(whole_log(), other) == "epoch 2 of bsq: the hash of its state is bb in the log, bc repeated");
  other.csv[1] = "bsq,1,10,2.5000001,40,100,3";
  CHECK(difference(whole_log(), other) == "epoch 1 of bsq: train_loss is 2.5 in the log, 2.5000001 repeated");
}

TEST_CASE("a repetition begins with a state that has no row, and it counts first") {
  LogLines repeated = whole_log();
  repeated.csv.erase(repeated.csv.begin() + 1);  // it has begun behind the first epoch
  CHECK(difference(whole_log(), repeated).empty());
  repeated.metrics[0] = state_line("bsq", 1, "ab");
  repeated.metrics[2] = state_line("bsq", 2, "bc");
  CHECK(difference(whole_log(), repeated) == "epoch 1 of bsq: the hash of its state is aa in the log, ab repeated");
}

TEST_CASE("the end of a stage without epochs is compared") {
  const auto converted = [](const std::string& hash) {
    return LogLines{.metrics = {R"({"event":"stage_end","stage":"convert","model_hash":")" + hash + R"("})"},
                    .csv = {kHeader},
                    .precision = {}};
  };
  CHECK(difference(converted("cc"), converted("cc")).empty());
  CHECK(difference(converted("cc"), converted("dd")) == "the end of convert: model_hash is cc in the log, dd repeated");
}

TEST_CASE("a damaged log is named with its line") {
  const auto message_for = [](const LogLines& lines) -> std::string {
    try {
      proofs_of(lines, "run");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::checkpoint);
      return error.what();
    }
    return "nothing";
  };
  LogLines lines = whole_log();
  lines.metrics[2] = "{";
  CHECK_THAT(message_for(lines), Catch::StartsWith("run/metrics.jsonl:3: the log is damaged ("));
  lines = whole_log();
  lines.metrics[2] = R"({"event":"state","stage":"bsq","epoch":-1,"state_hash":"aa"})";
  CHECK_THAT(message_for(lines), Catch::StartsWith("run/metrics.jsonl:3: the log is damaged ("));
  for (const char* row : {"bsq,x,10,2.5", "bsq", ""}) {
    lines = whole_log();
    lines.csv[2] = row;
    CHECK_THAT(message_for(lines), Catch::StartsWith("run/metrics.csv:3: the log is damaged (it has no "));
  }
}

}  // namespace bsq::test
