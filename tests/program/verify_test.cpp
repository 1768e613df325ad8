// `bsq verify`: a run is what its log says, or the place where it is not is named. What is not changed is verified, any
// single change is found.
#include "tests/support/pictures.h"
#include "tests/support/tensor_file.h"
#include "tests/support/workspace.h"

#include <algorithm>
#include <csignal>
#include <map>

using namespace bsq::test;
using nlohmann::json;

namespace {

const Words kVerifyAll = {"verify", "run", "--epochs", "all", "-q"};

/// One bit of one number: the smallest change there is.
void flip_a_bit(const fs::path& file, const std::string& tensor) {
  bsq::TensorFile read = bsq::read_safetensors(file);
  const auto found = std::ranges::find(read.tensors, tensor, &bsq::HostTensor::name);
  REQUIRE(found != read.tensors.end());
  found->bytes[0] ^= std::byte{1};
  bsq::write_safetensors(file, read);
}

/// The bytes of every file of a run, and where its links lead.
std::map<std::string, std::string> content_of_folder(const fs::path& folder) {
  std::map<std::string, std::string> content;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = fs::relative(entry.path(), folder).string();
    if (entry.is_symlink())
      content[name] = fs::read_symlink(entry.path()).string();
    else
      content[name] = entry.is_regular_file() ? text_of(entry.path()) : "";
  }
  return content;
}

/// Exit code 7, and the lines of errors that begin with `run: `.
std::vector<std::string> faults_of(const Workspace& here, const Words& words) {
  const Outcome outcome = here.run(words);
  INFO(describe(words, outcome));
  CHECK(outcome.exit_code == 7);
  CHECK_THAT(outcome.out, Catch::Contains("NOT verified: "));
  std::vector<std::string> faults;
  for (const std::string& line : lines_of(outcome.err)) {
    const std::string begin = "error: run: ";
    CHECK_THAT(line, Catch::StartsWith(begin));
    faults.push_back(line.substr(std::min(begin.size(), line.size())));
  }
  return faults;
}

void check_one_fault(const Workspace& here, const Words& words, const std::string& begin, const std::string& part) {
  const std::vector<std::string> faults = faults_of(here, words);
  REQUIRE(faults.size() == 1);
  CHECK_THAT(faults[0], Catch::StartsWith(begin) && Catch::Contains(part));
}

/// A run of the tiny experiment, put back as it was before every change.
struct VerifiedRun : Workspace {
  explicit VerifiedRun(const Words& more = {}) { train("whole", more), put_back(); }
  void put_back() const {
    fs::remove_all(*this / "run");
    fs::copy(*this / "whole", *this / "run", fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  }
};

}  // namespace

TEST_CASE("a run is verified by what it has kept, and nothing in its folder changes") {
  const VerifiedRun here;
  const auto before = content_of_folder(here / "run");
  const std::vector<std::string> files = here.files();
  const Outcome outcome = here.must({"verify", "run", "--epochs", "all"});
  for (const char* line :
       {"\npretrain 2  the start of the run       2  ", "\nbsq 1       checkpoints/convert        1  ",
        "\nbsq 3       checkpoints/convert        3  ", "\nfinetune 2  checkpoints/bsq            2  ",
        "\nas the log says: checkpoints/pretrain, checkpoints/convert, checkpoints/bsq, checkpoints/finetune, ",
        "\nversion, libraries, processor, device, threads and ranks are those of the run\n",
        "\nverified: 7 of the 7 epochs of run repeated with the same bits and numbers (--seed "})
    CHECK_THAT(outcome.out, Catch::Contains(line));
  CHECK_FALSE(contains(outcome.err, "warning"));
  CHECK(content_of_folder(here / "run") == before);
  CHECK(here.files() == files);
}

TEST_CASE("methods, formats and scales of all kinds are verified from every checkpoint", "[slow]") {
  const Words more =
      GENERATE(Words{}, Words{"precision=bf16", "threads=2"},
               Words{"stages=[pretrain,lsq]", "lsq.epochs=3", "lsq.milestones=[]"},
               Words{"stages=[pretrain,csq,finetune]", "csq.epochs=4", "csq.milestones=[]", "csq.warmup_epochs=1",
                     "csq.hard_mask_epochs=1"},
               Words{"bsq.alpha=0", "bsq.budget_bits=4"}, Words{"quant.act_bits=4", "quant.act_scale=calibrated"});
  Words words = more;
  words.emplace_back("checkpoint.keep_last=99");
  const Workspace here;
  here.train("run", words);
  const json verified = json::parse(here.must({"verify", "run", "--epochs", "all", "--json", "-q"}).out);
  INFO(verified.dump(2));
  CHECK(verified.at("verified") == true);
  CHECK(verified.at("checked").size() == verified.at("epochs").get<std::size_t>());
  CHECK(verified.at("other_here").empty());
  std::size_t stages = 0;
  for (const json& epoch : verified.at("checked")) {
    CHECK(epoch.at("repeated") == 1);
    if (epoch.at("epoch") == 1) ++stages;
  }
  // Every checkpoint of the run is one that was looked at.
  std::size_t checkpoints = 0;
  for (const auto& entry : fs::directory_iterator(here / "run/checkpoints"))
    if (entry.path().filename().string().starts_with("epoch_")) {
      ++checkpoints;
      const std::string name = "checkpoints/" + entry.path().filename().string();
      CHECK(std::ranges::count(verified.at("kept"), json(name)) == 1);
    }
  CHECK(checkpoints > verified.at("checked").size());
}

TEST_CASE("a seed chooses the same epochs again, another one others") {
  const VerifiedRun here;
  const auto chosen = [&](const std::string& seed) {
    const json verified =
        json::parse(here.must({"verify", "run", "--seed", seed, "--epochs", "2", "--json", "-q"}).out);
    CHECK(verified.at("seed") == std::stoi(seed));
    std::vector<std::string> epochs;
    for (const json& epoch : verified.at("checked"))
      epochs.push_back(epoch.at("stage").get<std::string>() + epoch.at("epoch").dump());
    CHECK(epochs.size() == 2);
    return epochs;
  };
  std::vector<std::vector<std::string>> choices;
  for (int seed = 0; seed < 6; ++seed) choices.push_back(chosen(std::to_string(seed)));
  CHECK(chosen("3") == choices[3]);
  std::sort(choices.begin(), choices.end());
  CHECK(std::unique(choices.begin(), choices.end()) - choices.begin() > 2);
  CHECK(json::parse(here.must({"verify", "run", "--json", "-q"}).out).at("checked").size() == 3);
}

TEST_CASE("epochs that cost too much are passed over, with the reason") {
  const VerifiedRun here;
  const Outcome outcome = here.must({"verify", "run", "--epochs", "all", "--within", "2", "-q"});
  CHECK_THAT(outcome.out,
             Catch::Contains("\nnot to be chosen: bsq 3: from the nearest state that is kept it takes more "
                             "than 2 epochs (--within)\n") &&
                 Catch::Contains("\nverified: 6 of the 7 epochs of run "));
}

TEST_CASE("one bit of a checkpoint is found, and the epoch named") {
  const VerifiedRun here({"checkpoint.keep_last=99"});
  const std::string state = "checkpoints/epoch_0005 is not that state: the hash of its state is ";
  // Also where no chosen epoch begins there.
  const Words first_epoch = {"verify", "run", "--epochs", "1", "--seed", "1", "-q"};
  flip_a_bit(here / "run/checkpoints/epoch_0005/model.safetensors", "bn1.weight");
  check_one_fault(here, kVerifyAll, "epoch 1 of bsq: ", state);
  check_one_fault(here, first_epoch, "epoch 1 of bsq: ", state);
  here.put_back();
  flip_a_bit(here / "run/checkpoints/epoch_0005/optimizer.safetensors", "fc.pweight.momentum_buffer");
  check_one_fault(here, kVerifyAll, "epoch 1 of bsq: ", state);
  here.put_back();
  flip_a_bit(here / "run/checkpoints/epoch_0005/model.safetensors", "bn1.running_mean");
  check_one_fault(here, kVerifyAll, "epoch 1 of bsq: ", state);
}

TEST_CASE("one bit of a model that a stage has handed on is found") {
  const VerifiedRun here;
  flip_a_bit(here / "run/checkpoints/convert/model.safetensors", "fc.pweight");
  check_one_fault(here, kVerifyAll,
                  "the end of convert: ", "checkpoints/convert is not the model that the log says (its hash is ");
  here.put_back();
  flip_a_bit(here / "run/checkpoints/finetune/model.safetensors", "fc.scale");
  check_one_fault(here, kVerifyAll, "the end of finetune, after epoch 2: ", "checkpoints/finetune is not the model");
  here.put_back();
  flip_a_bit(here / "run/checkpoints/last/model.safetensors", "fc.scale");
  check_one_fault(here, kVerifyAll, "the end of finetune, after epoch 2: ", "checkpoints/epoch_0011: is not the model");
}

TEST_CASE("a hash or a number of the log that somebody has changed is found, and the epoch named") {
  const VerifiedRun here;
  const std::string events = text_of(here / "run/metrics.jsonl"), csv = text_of(here / "run/metrics.csv");
  const std::string place = R"("stage":"bsq","epoch":2,"state_hash":")";
  const std::size_t at = events.find(place) + place.size();
  std::string forged = events;
  forged[at] = forged[at] == '0' ? '1' : '0';
  put_text(here / "run/metrics.jsonl", forged);
  check_one_fault(here, kVerifyAll, "epoch 2 of bsq: repeated from checkpoints/convert: the hash of its state is ",
                  forged.substr(at, 16) + " in the log, " + events.substr(at, 16) + " repeated");
  // Others of the run are what they were.
  CHECK_THAT(here.run(kVerifyAll).out, Catch::Contains("NOT verified: 5 of the 7 epochs"));

  put_text(here / "run/metrics.jsonl", events);
  std::vector<std::string> rows = lines_of(csv);
  REQUIRE(rows.size() == 8);
  std::size_t accuracy = 0;  // the ninth cell, test_top1
  for (int cell = 0; cell < 8; ++cell) accuracy = rows[7].find(',', accuracy) + 1;
  std::string better = rows[7];
  better.insert(accuracy, "9");
  edit_text(here / "run/metrics.csv", rows[7], better);
  check_one_fault(here, kVerifyAll, "epoch 2 of finetune: repeated from checkpoints/bsq: test_top1 is 9", " repeated");

  put_text(here / "run/metrics.csv", csv);
  edit_text(here / "run/metrics.jsonl", R"("stage_end","stage":"finetune","test_top1":)",
            R"("stage_end","stage":"finetune","test_top1":9)");
  check_one_fault(here, kVerifyAll, "the end of finetune, after epoch 2: repeated from checkpoints/bsq: test_top1 is 9",
                  " repeated");
}

TEST_CASE("checkpoints that are gone or cut short are named, and what can be repeated without them is") {
  const VerifiedRun here({"checkpoint.keep_last=2"});
  fs::remove_all(here / "run/checkpoints");
  const std::vector<std::string> faults = faults_of(here, kVerifyAll);
  CHECK(faults == std::vector<std::string>{"the end of pretrain, after epoch 2: checkpoints/pretrain is gone",
                                           "the end of convert: checkpoints/convert is gone",
                                           "the end of bsq, after epoch 3: checkpoints/bsq is gone",
                                           "the end of finetune, after epoch 2: checkpoints/finetune is gone",
                                           "epoch 2 of finetune: the newest checkpoint, checkpoints/last, is gone or "
                                           "not complete"});
  CHECK_THAT(here.run(kVerifyAll).out, Catch::Contains("\nfinetune 2  the start of the run       7  "));
  here.put_back();
  fs::resize_file(here / "run/checkpoints/epoch_0010/optimizer.safetensors", 100);
  check_one_fault(here, kVerifyAll, "epoch 2 of finetune: checkpoints/epoch_0010: ", "missing or cut short");
  here.put_back();
  edit_text(here / "run/checkpoints/epoch_0010/state.json", "\"epoch\": 2", "\"epoch\": 9");
  check_one_fault(here, kVerifyAll, "epoch 2 of finetune: checkpoints/epoch_0010: ", "state.json is damaged");
}

TEST_CASE("a run that began with a model is repeated from it, and from later states where it is gone") {
  const Workspace here;
  here.train("float", {"stages=[pretrain]"});
  fs::copy_file(here / "float/checkpoints/pretrain/model.safetensors", here / "start.safetensors");
  here.train("run", {"stages=[bsq,finetune]", "model.init=start.safetensors"});
  CHECK_THAT(here.must(kVerifyAll).out, Catch::Contains("verified: 5 of the 5 epochs"));
  fs::remove(here / "start.safetensors");
  CHECK_THAT(here.must(kVerifyAll).out,
             Catch::Contains("\nnot to be chosen: bsq 1 to 3: nothing before it is kept: the model that it began with "
                             "is not here (start.safetensors); more is kept with checkpoint.keep_last=N\n") &&
                 Catch::Contains("\nverified: 2 of the 5 epochs"));
  here.train("run2", {"stages=[pretrain]", "model.init=float"});
  fs::remove_all(here / "float");
  check_errors(
      here, {"verify", "run2", "-q"}, 7,
      {"run2: epochs 1 to 2 of pretrain cannot be repeated: nothing before it is kept: the model that it began "
       "with is not here (float); more is kept with checkpoint.keep_last=N"});
}

TEST_CASE("another machine, thread count or version is said before and after it has given other bits") {
  const VerifiedRun here;
  edit_text(here / "run/env.json", "\"commit\": \"", "\"commit\": \"0123");
  const Outcome same = here.must({"verify", "run"});
  CHECK_THAT(same.err, Catch::Contains("warning: bits may be others than those of the run: commit: \"0123"));
  CHECK_THAT(same.out, Catch::Contains("\nnot as in the run: commit: \"0123"));
  here.put_back();
  const Outcome other = here.run({"verify", "run", "--epochs", "all", "threads=2", "-q"});
  REQUIRE(other.exit_code == 7);
  const std::vector<std::string> lines = lines_of(other.err);
  CHECK_THAT(lines.front(), Catch::StartsWith("warning: bits may be others than those of the run: device: \"cpu, 1 "
                                              "thread, "));
  CHECK_THAT(lines.back(), Catch::StartsWith("error: run: bits are the same on the same machine alone, and this is "
                                             "another one: device: \"cpu, 1 thread, "));
}

TEST_CASE("a run of a version without hashes, one that has just begun and one without a log cannot be verified") {
  const VerifiedRun here;
  const fs::path old = fs::path(BSQ_SOURCE_DIR) / "tests/program/old_run/run";
  fs::copy(old, here / "old", fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  check_errors(here, {"verify", "old", "-q"}, 7,
               {"old: its log has no hashes of states: it was trained by an older version of bsq, and cannot be "
                "verified"});
  put_text(here / "run/metrics.csv", lines_of(text_of(here / "run/metrics.csv"))[0] + "\n");
  check_errors(here, {"verify", "run", "-q"}, 7, {"run: no epoch of this run is over; there is nothing to verify"});
  here.put_back();
  edit_text(here / "run/metrics.jsonl", "{\"event\":\"state\"", "{\"event\":state\"");
  check_error(here, {"verify", "run", "-q"}, 4, {"run/metrics.jsonl:", ": the log is damaged ("});
}

TEST_CASE("epochs of before an update are passed over, those behind it are verified") {
  const VerifiedRun here;
  std::string events;
  for (const std::string& line : lines_of(text_of(here / "run/metrics.jsonl")))
    if (!contains(line, R"("event":"state","stage":"pretrain")")) events += line + "\n";
  put_text(here / "run/metrics.jsonl", events);
  const Outcome outcome = here.must(kVerifyAll);
  CHECK_THAT(outcome.out, Catch::Contains("\nnot to be chosen: pretrain 1 to 2: the log has no hash of its state, as "
                                          "those of older versions of bsq\n") &&
                              Catch::Contains("\nverified: 5 of the 7 epochs"));
}

TEST_CASE("a run that goes on is left alone, one that was interrupted or resumed is verified") {
  const Workspace here;
  Program program({"train", "tiny.yaml", "--run-dir", "run", "bsq.epochs=100000"}, here.setup());
  program.wait_for("[T] bsq      2/100000");
  check_errors(here, {"verify", "run", "-q"}, 2, {"run: this run is going on; wait for its end"});
  program.send(SIGTERM);
  CHECK(program.finish().exit_code == 143);
  const auto before = content_of_folder(here / "run");
  here.must({"verify", "run", "--within", "3", "-q"});
  CHECK(content_of_folder(here / "run") == before);
}

TEST_CASE("other images, missing ones and other settings are refused with their own exit codes") {
  const Workspace here;
  put_pictures(here / "pictures");
  here.must({"train", "tiny.yaml", "data.kind=image_folder", "data.root=pictures", "data.batch_size=4",
             "stages=[pretrain]", "--run-dir", "run"});
  fs::rename(here / "pictures", here / "moved");
  here.must({"verify", "run", "data.root=moved", "-q"});
  check_error(here, {"verify", "run", "-q"}, 3, {"pictures"});
  put_png(here / "moved/test/dog/1.png", 1000);
  check_errors(here, {"verify", "run", "data.root=moved", "-q"}, 3,
               {"moved: not what the run was trained with: the test set has as many images, but other pixels, labels, "
                "classes or another order; bring the old images back"});
  check_errors(here, {"verify", "run", "pretrain.lr=1", "-q"}, 2,
               {"pretrain.lr 0.1 in the run, 1 now; a run is verified as it was trained, drop the override"});
  check_errors(here, {"verify"}, 2, {"bsq verify: which run? usage: bsq verify RUN [key=value ...]"});
  check_errors(here, {"verify", "moved"}, 2,
               {"moved: is not a run directory (no config.yaml and status.json of a run in it); check the path"});
  check_errors(here, {"verify", "run", "--epochs", "none"}, 2,
               {"bsq verify: --epochs none: how many epochs, 1 or more, or all"});
}
