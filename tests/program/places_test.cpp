// Paths in configurations: a run goes on from any folder, and `~/` is the home folder.
#include "tests/support/pictures.h"
#include "tests/support/workspace.h"

#include <csignal>

using namespace bsq::test;

namespace {

/// A folder beside the workspace's own files, to start from.
Setup elsewhere(const Workspace& here) {
  fs::create_directories(here / "elsewhere");
  Setup setup = here.setup();
  setup.folder = here / "elsewhere";
  return setup;
}

/// Stops a run of `words` at the line.
void stop_at(const std::string& line, const Words& words, const Setup& setup) {
  Program program(words, setup);
  program.wait_for(line);
  program.send(SIGTERM);
  REQUIRE(program.finish().exit_code == 143);
}

}  // namespace

TEST_CASE("a run with relative paths goes on from another folder, to the same bits") {
  const Workspace here;
  put_pictures(here / "pictures", 5, 2);
  here.must({"train", "tiny.yaml", "data.kind=image_folder", "data.root=pictures", "data.batch_size=4",
             "stages=[pretrain]", "--run-dir", "float"});
  const Words words = {"train",
                       "tiny.yaml",
                       "data.kind=image_folder",
                       "data.root=pictures",
                       "model.init=float",
                       "stages=[pretrain,convert,bsq]",
                       "bsq.epochs=60",
                       "data.batch_size=4",
                       "--run-dir"};
  const auto into = [&](const char* run) {
    Words all = words;
    all.emplace_back(run);
    return all;
  };
  here.must(into("whole"));
  stop_at("[T] bsq  2/60", into("run"), here.setup());
  const Setup there = elsewhere(here);
  const Outcome resumed = run({"train", "--resume", "../run"}, there);
  INFO(resumed.err);
  CHECK(resumed.exit_code == 0);
  check_same_run(here / "whole", here / "run");

  for (const Words& command : {Words{"eval", "../run"}, Words{"eval", "../run/checkpoints/best", "-q"}}) {
    const Outcome outcome = run(command, there);
    INFO(describe(command, outcome));
    CHECK(outcome.exit_code == 0);
  }
  CHECK(run({"export", "../run", "--format", "packed", "--output", "p.safetensors"}, there).exit_code == 0);

  // Before its first checkpoint: from model.init again.
  for (const char* name : {"checkpoints", "metrics.jsonl", "metrics.csv", "precision.jsonl", "report", "train.log"})
    fs::remove_all(here / "run" / name);
  edit_text(here / "run/status.json", "done", "running");
  CHECK(run({"train", "--resume", "../run"}, there).exit_code == 0);
  check_same_run(here / "whole", here / "run");
}

TEST_CASE("lists of pictures are kept where the run was started, also if that folder is made again on the way") {
  const Workspace here;
  put_pictures(here / "pictures", 5, 2);
  stop_at("[T] pretrain   2/400",
          {"train", "tiny.yaml", "data.kind=image_folder", "data.root=pictures", "data.batch_size=4",
           "stages=[pretrain]", "pretrain.epochs=400", "data.cache=lists/here", "--run-dir", "run"},
          here.setup());
  const auto count = [](const fs::path& folder) {
    return fs::exists(folder) ? std::distance(fs::directory_iterator(folder), fs::directory_iterator()) : 0;
  };
  REQUIRE(count(here / "lists/here") == 2);
  fs::remove_all(here / "lists");
  const Setup there = elsewhere(here);
  stop_at("\nresuming after ", {"train", "--resume", "../run"}, there);
  CHECK(count(here / "lists/here") == 2);
  CHECK(run({"eval", "../run"}, there).exit_code == 0);
  CHECK_FALSE(fs::exists(here / "elsewhere/lists"));
  stop_at("\nresuming after ", {"train", "--resume", "../run", "data.cache=mine"}, there);
  CHECK(count(here / "elsewhere/mine") == 2);
}

TEST_CASE("a path that is typed when a run goes on leads from where it is typed") {
  const Workspace here;
  put_pictures(here / "pictures", 5, 2);
  stop_at("[T] pretrain   2/400",
          {"train", "tiny.yaml", "data.kind=image_folder", "data.root=pictures", "data.batch_size=4",
           "stages=[pretrain]", "pretrain.epochs=400", "--run-dir", "run"},
          here.setup());
  const Setup there = elsewhere(here);
  const Outcome missing = run({"train", "--resume", "../run", "data.root=pictures"}, there);
  CHECK(missing.exit_code == 3);
  CHECK_THAT(missing.err, Catch::Contains("error: data.root 'pictures': no such folder\n"));
  fs::rename(here / "pictures", here / "elsewhere/pictures");  // and where there is nothing any more, from here
  stop_at("\nresuming after ", {"train", "--resume", "../run", "data.root=pictures"}, there);
  stop_at("\nresuming after ", {"train", "--resume", "../run"}, there);
  fs::remove(here / "run/env.json");  // as of a run that does not know where it was started
  stop_at("\nresuming after ", {"train", "--resume", "../run"}, there);
}

TEST_CASE("a sweep with relative paths goes on from another folder") {
  const Workspace here;
  put_pictures(here / "pictures", 5, 2);
  stop_at("[T] pretrain 2/3",
          {"sweep", "tiny.yaml", "data.kind=image_folder", "data.root=pictures", "data.batch_size=4",
           "stages=[pretrain]", "pretrain.epochs=3", "seed=1,2,3", "--sweep-dir", "sweep"},
          here.setup());
  const Outcome resumed = run({"sweep", "--resume", "../sweep"}, elsewhere(here));
  INFO(resumed.err);
  CHECK(resumed.exit_code == 0);
  for (const char* name : {"seed-1", "seed-2", "seed-3"}) CHECK(status_of(here / "sweep" / name) == "done 0");
}

TEST_CASE("a tilde and / in the value of a path is the home folder, in a file and in an override") {
  const Workspace here;
  put_pictures(here / "home/pictures");
  Setup setup = here.setup();
  setup.environment["HOME"] = here / "home";
  put_text(here / "home/base.yaml", "stages: [pretrain]\n");
  put_text(here / "c.yaml",
           "_base_: [tiny.yaml, ~/base.yaml]\nrun: {dir: ~/runs}\n"
           "data: {kind: image_folder, batch_size: 4, root: \"~/pictures\"}\n");
  const auto must = [&](const Words& words) {
    const Outcome outcome = run(words, setup);
    INFO(describe(words, outcome));
    CHECK(outcome.exit_code == 0);
    return outcome;
  };
  must({"train", "c.yaml"});
  CHECK(status_of(here / "home/runs/tiny/latest") == "done 0");
  must({"train", "c.yaml", "model.init=~/runs/tiny/latest", "run.dir=~/more", "stages=[convert]"});
  CHECK(status_of(here / "home/more/tiny/latest") == "done 0");
  must({"sweep", "c.yaml", "seed=1,2", "--sweep-dir", "sweep"});
  put_text(here / "home/net.yaml", must({"inspect", "--network", "tiny.yaml"}).out);
  edit_text(here / "home/net.yaml", "image: [32, 32, 3]", "image: [8, 8, 3]");
  edit_text(here / "home/net.yaml", "out: 10", "out: 2");
  must({"train", "c.yaml", "model.network=~/net.yaml", "--run-dir", "net"});
  CHECK_FALSE(fs::exists(here / "~"));
  CHECK_FALSE(fs::exists(here / "home/~"));

  for (const char* key : {"run.dir", "data.root", "model.init", "model.network"}) {
    const Outcome refused = run({"train", "c.yaml", std::string(key) + "=~nobody/x"}, setup);
    INFO(refused.err);
    CHECK(refused.exit_code == 2);
    CHECK_THAT(refused.err, Catch::Contains(std::string("error: override 1: ") + key +
                                            " = ~nobody/x; ~ is your home "
                                            "folder, followed by '/'; write another user's in full, or ./~nobody/x if "
                                            "it is here\n"));
  }
  setup.environment["HOME"] = "";
  const Outcome homeless = run({"train", "tiny.yaml", "run.dir=~/x"}, setup);
  CHECK(homeless.exit_code == 2);
  CHECK_THAT(homeless.err, Catch::Contains("run.dir = ~/x; ~ is the home folder, and HOME is not set"));
}

TEST_CASE("a tilde and / in the value of an option is the home folder, after a = and as a word of its own") {
  const Workspace here;
  fs::create_directory(here / "home");
  Setup setup = here.setup();
  setup.environment["HOME"] = here / "home";
  const auto must = [&](const Words& words) {
    const Outcome outcome = run(words, setup);
    INFO(describe(words, outcome));
    CHECK(outcome.exit_code == 0);
  };
  must({"train", "tiny.yaml", "stages=[pretrain]", "--run-dir=~/x"});
  CHECK(status_of(here / "home/x") == "done 0");
  must({"train", "tiny.yaml", "stages=[pretrain]", "--run-dir", "~/y"});
  CHECK(status_of(here / "home/y") == "done 0");
  must({"train", "--resume=~/x"});
  must({"report", "home/x", "home/y", "--out=~/both"});
  CHECK(fs::exists(here / "home/both/index.html"));
  must({"export", "home/x", "--format", "float", "--output=~/m.safetensors"});
  must({"convert", "home/m.safetensors", "planes.safetensors"});
  must({"convert", "home/m.safetensors", "again.safetensors", "--scheme=~/../planes.safetensors"});
  fs::copy_file(here / "tiny.yaml", here / "home/tiny.yaml");
  must({"eval", "home/m.safetensors", "--config=~/tiny.yaml"});
  must({"train", "~/tiny.yaml", "stages=[pretrain]", "--run-dir=~/z"});
  must({"eval", "~/z", "data.batch_size=4"});
  must({"inspect", "~/m.safetensors"});
  must({"convert", "~/m.safetensors", "~/planes.safetensors"});
  CHECK(fs::exists(here / "home/planes.safetensors"));
  must({"report", "~/x", "~/y", "--out=~/again"});
  must({"sweep", "tiny.yaml", "stages=[pretrain]", "seed=1,2", "--sweep-dir=~/sweep"});
  CHECK(status_of(here / "home/sweep/seed-2") == "done 0");
  must({"sweep", "--resume=~/sweep"});
  CHECK_FALSE(fs::exists(here / "~"));

  const Outcome refused = run({"train", "tiny.yaml", "--run-dir=~nobody/x"}, setup);
  CHECK(refused.exit_code == 2);
  CHECK(refused.err ==
        "error: --run-dir ~nobody/x: ~ is your home folder, followed by '/'; write another user's in full, or "
        "./~nobody/x if it is here\n");
}

TEST_CASE("a run whose path is no UTF-8, and has quotes and a line break, is taken by every command") {
  const Workspace here;
  const std::string run = "it's \"caf\xE9\"\\\n1";
  here.train(run, {"quant.act_bits=4", "quant.act_scale=calibrated", "quant.weight_bits=4"});
  here.train("b", {"seed=2"});
  const std::string file = run + "/m.safetensors";
  for (const Words& command :
       {Words{"eval", run}, Words{"eval", run, "--json"}, Words{"sensitivity", run, "--images=16"},
        Words{"sensitivity", run, "--images=16", "--json"}, Words{"scheme", run}, Words{"inspect", run, "--json"},
        Words{"verify", run, "--within=1", "--json"},
        Words{"export", run, "--format=onnx", "--output", run + "/m.onnx"},
        Words{"export", run, "--format=deployed", "--output", file}, Words{"check", file},
        Words{"train", "--resume", run}, Words{"report", run, "b", "--out=both"}})
    here.must(command);
  // What JSON cannot write, no reader of CSV takes either.
  const std::string table = text_of(here / "both/comparison.csv");
  CHECK_THAT(table, Catch::Contains("it's \"\"caf\\xE9\"\""));
  CHECK_NOTHROW(nlohmann::json(table).dump());
}
