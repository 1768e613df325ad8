// `bsq bench`: tables, files, comparisons and peers of a few small rows, and what a wrong command line is answered.
#include "tests/support/emulated_gpu.h"

#include <nlohmann/json.hpp>

using namespace bsq::test;
using nlohmann::json;

namespace {

const fs::path kPlugin = fs::path(BSQ_PROGRAM).parent_path().parent_path() / "lib" / "libbsq_bench.so";

bool is_missing() {
  if (fs::exists(kPlugin)) return false;
  WARN("SKIPPED: built with BSQ_BENCH=OFF");
  return true;
}

Words on_cpu(const Words& words) {
  Words all = {"bench", "ops", "linear", "--device", "cpu", "--threads", "1", "--batch", "8", "--seconds", "0"};
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

}  // namespace

TEST_CASE("a small benchmark measures peaks, fits its table into 100 columns and writes a file") {
  if (is_missing()) return;
  const Workspace here;
  const Outcome outcome =
      here.must({"bench", "ops", "LINEAR_(for|back)ward/10 cl", "--device", "cpu", "--precision", "fp32", "--batch",
                 "16", "--cache", "warm", "--seconds", "0.001", "--json", "b.json"});
  CHECK(outcome.err.empty());
  CHECK_THAT(outcome.out, Catch::Contains("; batch 16\npeaks measured now: memory "));
  CHECK_THAT(outcome.out, Catch::Contains("\nlinear_forward ") && Catch::Contains("\nlinear_backward "));
  CHECK_THAT(outcome.out, Catch::Contains("10 classes") && !Catch::Contains("100 classes"));
  for (const std::string& line : lines_of(outcome.out)) CHECK(line.size() <= 100);

  const json file = json_of(here / "b.json");
  CHECK(file.at("schema") == "bsq-bench 1");
  CHECK(file.at("batch") == 16);
  CHECK_THAT(std::string(file.at("place")), Catch::StartsWith("cpu, "));
  CHECK(file.at("peaks").at("flops_per_s").at("fp32") > 1e8);
  CHECK(file.at("peaks").at("bandwidths").size() == 4);
  REQUIRE(file.at("rows").size() == 2);
  for (const json& row : file.at("rows")) {
    CHECK(row.at("calls_per_step") == 1);
    CHECK(row.at("warm").at("median_s") > 0);
    CHECK(row.at("warm").at("samples") >= 7);
    CHECK(row.at("warm").at("share_of_peak") > 0);
    CHECK_FALSE(row.contains("cold"));
  }
  CHECK(has_leftovers(here.path()) == false);
}

TEST_CASE("without samples there are two calls each, no peaks and no shares") {
  if (is_missing()) return;
  const Workspace here;
  const Outcome outcome = here.must(on_cpu({"--json", "b.json"}));
  CHECK_THAT(outcome.out, Catch::Contains("peaks: not measured") && !Catch::Contains("bound by"));
  const json file = json_of(here / "b.json");
  CHECK_FALSE(file.contains("peaks"));
  CHECK(file.at("rows").at(0).at("cold").at("samples") == 2);
  CHECK_FALSE(file.at("rows").at(0).at("cold").contains("share_of_peak"));
}

TEST_CASE("a benchmark says what has changed since a file") {
  if (is_missing()) return;
  const Workspace here;
  const Words words = {"bench",     "ops",     "linear_forward", "--device",  "cpu",
                       "--threads", "1",       "--precision",    "fp32",      "--batch",
                       "8",         "--cache", "warm",           "--seconds", "0.001"};
  const auto with = [&](const Words& more) {
    Words all = words;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  here.must(with({"--json", "old.json"}));
  json old = json_of(here / "old.json");
  json& before = old.at("rows").at(0).at("warm");
  before.at("median_s") = before.at("median_s").get<double>() * 1e9;
  before.at("spread") = 0.01;
  put_text(here / "slow.json", old.dump());
  const Outcome outcome = here.must(with({"--against", "slow.json"}));
  CHECK_THAT(outcome.out, Catch::Contains(" change ") && Catch::Contains(": 0 slower, 1 faster, 0 within noise"));
  CHECK_THAT(outcome.out, Catch::Contains(" -100%"));

  old.at("batch") = 128;
  put_text(here / "other.json", old.dump());
  check_error(here, with({"--against", "other.json"}), 2, {"other.json: was measured with --batch 128"});
  old.at("place") = "cuda, NVIDIA H100";
  put_text(here / "other.json", old.dump());
  check_error(here, with({"--against", "other.json"}), 2, {"was measured on cuda, NVIDIA H100, this is cpu, 1 thread"});
  put_text(here / "other.json", R"({"schema": "bsq-bench 0"})");
  check_error(here, with({"--against", "other.json"}), 2, {"its schema is 'bsq-bench 0', not 'bsq-bench 1'"});
  put_text(here / "other.json", R"({"context": {}, "benchmarks": []})");
  check_error(here, with({"--against", "other.json"}), 2, {"other.json: its schema is ''"});
  check_error(here, with({"--against", "nowhere.json"}), 2, {"nowhere.json"});
}

TEST_CASE("bench answers a wrong command line with a sentence and exit code 2") {
  if (is_missing()) return;
  const Workspace here;
  check_errors(here, {"bench", "opps"}, 2, {"bsq bench: what is 'opps'? usage: bsq bench [ops|planes|step] [FILTER]"});
  check_errors(here, {"bench", "ops", "conv", "more"}, 2, {"unexpected 'more'; see bsq bench --help"});
  check_errors(here, {"bench", "ops", "(", "--device", "cpu"}, 2,
               {"bsq bench: '(' is no regular expression; a special letter takes a \\ before it"});
  check_error(here, {"bench", "step", "resnet-50", "--device", "cpu"}, 2,
              {"no row matches 'resnet-50'; rows have names like 'step/float, ResNet-20/fp32', --list shows them all"});
  check_errors(here, {"bench", "--seconds", "-1"}, 2, {"bsq bench: --seconds -1: use a number from 0 to 3600"});
  check_error(here, {"bench", "--device", "gpu"}, 2, {"--device: gpu not in {auto,cpu,cuda}"});
  check_error(here, {"bench", "--device", "cpu", "--precision", "tf32"}, 5,
              {"tf32 is a precision that only GPUs have"});
  check_error(here, on_cpu({"--json", "no/such/folder.json"}), 2, {"no/such/folder.json"});
  check_errors(here, {"bench", "--python", "python3"}, 2, {"bsq bench: --python is for --peers, which is missing"});
  check_error(here, on_cpu({"--peers", "--python", "/no/python3"}), 2,
              {"--peers: /no/python3 imports no torch; name one that does with --python PROGRAM"});
  CHECK(here.files() == std::vector<std::string>{"tiny.yaml"});
}

TEST_CASE("every row of bench has a name of its own, and --list measures none") {
  if (is_missing()) return;
  const Workspace here;
  const Outcome outcome = here.must({"bench", "--list", "--shapes", "all", "--device", "cpu"});
  std::vector<std::string> names = lines_of(outcome.out);
  std::sort(names.begin(), names.end());
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
  for (const char* name : {"conv2d_backward_data +=/stage1 3x3/fp32", "planes_step/268,346 weights, 1 bit/fp32",
                           "step/finetune, ResNet-20, 8 bits/fp32", "norm_act_forward/7x7 2048 second/fp32"})
    CHECK(std::count(names.begin(), names.end(), name) == 1);
}

TEST_CASE("the sweep over planes has every width, and the passes over weights of one master") {
  if (is_missing()) return;
  const Workspace here;
  here.must({"bench", "planes", "/2,304 weights", "--device", "cpu", "--seconds", "0", "--cache", "warm", "--json",
             "p.json", "--precision", "fp32"});
  std::map<std::string, int> rows;
  const json file = json_of(here / "p.json");
  for (const json& row : file.at("rows")) {
    CHECK(row.contains("warm"));
    ++rows[row.at("operation")];
  }
  const std::map<std::string, int> expected = {
      {"weights_from_planes", 8}, {"planes_step", 8}, {"weights_from_fixed", 1},  {"fixed_step", 1},
      {"weights_from_lsq", 1},    {"lsq_step", 1},    {"weights_from_dorefa", 1}, {"dorefa_step", 1},
      {"weights_from_msq", 1},    {"msq_step", 1}};
  CHECK(rows == expected);
}

TEST_CASE("steps are timed beside the float step") {
  if (is_missing()) return;
  const Workspace here;
  const Outcome outcome = here.must({"bench", "step", "--device", "cpu", "--precision", "fp32", "--depth", "8",
                                     "--batch", "4", "--seconds", "0", "--json", "s.json"});
  CHECK_THAT(outcome.out, Catch::Contains("images/s") && Catch::Contains("x float"));
  const json rows = json_of(here / "s.json").at("rows");
  REQUIRE(rows.size() == 7);  // float, bsq, csq, lsq, dorefa, msq, finetune
  CHECK(rows.at(1).at("shape") == "bsq, ResNet-8, 8 bits");
  CHECK(rows.at(1).at("times_float_step").get<double>() == Approx(rows.at(1).at("warm").at("median_s").get<double>() /
                                                                  rows.at(0).at("warm").at("median_s").get<double>()));
}

TEST_CASE(
    "PyTorch's times stand beside ours where a python3 has torch, and a sentence where none was named and none has") {
  if (is_missing()) return;
  const Workspace here;
  // Says what PyTorch would: the version, and a line for the first row that it was asked for.
  put_text(
      here / "python",
      "#!/bin/sh\ncase $2 in -c) echo torch 9.9 ;;\n"
      "*) sed 's/.*\"name\":\"\\(linear_forward[^\"]*\\)\".*/{\"name\":\"\\1\",\"median_s\":12.5}/' \"$3\" ;; esac\n");
  fs::permissions(here / "python", fs::perms::owner_all);
  const Outcome outcome = here.must(on_cpu({"--peers", "--python", (here / "python").string()}));
  CHECK(outcome.err == "measuring torch 9.9 first\n");
  CHECK_THAT(outcome.out, Catch::Contains("PyTorch") && Catch::Contains("12.5 s"));

  Setup setup = here.setup();
  put_text(here / "bin/python3", "#!/bin/sh\nexit 1\n");
  fs::permissions(here / "bin/python3", fs::perms::owner_all);
  setup.environment["PATH"] = (here / "bin").string() + ":/usr/bin:/bin";
  const Outcome without = run(on_cpu({"--peers"}), setup);
  CHECK(without.exit_code == 0);
  CHECK(without.err == "--peers: python3 imports no torch; name one that does with --python PROGRAM\n");
  CHECK_THAT(without.out, !Catch::Contains("PyTorch") && Catch::Contains("linear_forward"));
}

TEST_CASE("on a GPU calls are measured inside a graph, and steps in bursts") {
  if (is_missing() || EmulatedGpu::is_missing()) return;
  const Workspace here;
  EmulatedGpu gpu;
  gpu.tree().with_file("lib", kPlugin);
  const Outcome rows =
      gpu.run(here, {"bench", "ops", "round_to_bf16|sgd_step", "--device", "cuda", "--seconds", "0"}, 0);
  CHECK_THAT(rows.out, Catch::Contains("cuda, ") && Catch::Contains("round_to_bf16"));
  gpu.run(here,
          {"bench", "step", "bsq.*fp32", "--device", "cuda", "--depth", "8", "--batch", "2", "--burst", "1",
           "--seconds", "0", "--json", "g.json"},
          0);
  CHECK(json_of(here / "g.json").at("rows").at(0).at("enqueue_s") > 0);
}

TEST_CASE("a bsq without its benchmarks says how to get them") {
  const Workspace here;
  const ProgramTree tree;
  const Outcome outcome = tree.run(here, {"bench", "step"});
  CHECK(outcome.exit_code == 2);
  CHECK(outcome.err ==
        "error: this bsq is built without its benchmarks (configure it with -DBSQ_BENCH=ON and build it anew)\n");
  CHECK(tree.run(here, {"bench", "--help"}).exit_code == 0);
}
