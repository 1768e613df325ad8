// `bsq report`: tables of one run, a comparison of several, and the files it writes.
#include "tests/support/workspace.h"

#include <algorithm>

using namespace bsq::test;
using nlohmann::json;

namespace {

std::size_t cells_in(const std::string& line) {
  return static_cast<std::size_t>(std::count(line.begin(), line.end(), ',')) + 1;
}

/// Every row as wide as the header; returns the number of rows without it.
std::size_t check_csv(const fs::path& file, const std::string& header) {
  const std::vector<std::string> lines = lines_of(text_of(file));
  INFO(file);
  REQUIRE_FALSE(lines.empty());
  CHECK(lines.front() == header);
  for (const std::string& line : lines) CHECK(cells_in(line) == cells_in(header));
  return lines.size() - 1;
}

}  // namespace

TEST_CASE("the report of a run is what the run printed, as text, JSON and CSV") {
  const Workspace here;
  const Outcome trained = here.train("run");
  const fs::path report = here / "run/report";
  const std::string summary = text_of(report / "summary.json");
  fs::remove_all(report);
  const Outcome printed = here.must({"report", "run"});
  CHECK(printed.err.empty());
  CHECK("\n" + printed.out == trained.out);
  CHECK(text_of(report / "summary.json") == summary);
  CHECK(here.must({"report", "run", "--json"}).out == summary);
  for (const std::string& line : lines_of(printed.out)) CHECK(line.size() <= 160);

  const json found = json::parse(summary);
  CHECK(found.at("state") == "done");
  CHECK(found.at("alpha") == 2.0);
  REQUIRE(found.at("stages").size() == 4);
  CHECK(found.at("stages")[2].at("epochs") == 3);
  CHECK(found.at("model") == "checkpoints/finetune_best");
  CHECK(found.at("precision").at("layers").size() == 9);
  CHECK(found.at("precision").at("file_bytes") ==
        fs::file_size(here / "run/checkpoints/finetune_best/model.safetensors"));

  std::size_t planes = 0;
  for (const json& layer : found.at("precision").at("layers")) planes += layer.at("bits").get<std::size_t>();
  CHECK(check_csv(report / "layers.csv", "layer,shape,weights,bits,empty,scale,zero_percent,fixed,input_bits") == 9);
  CHECK(check_csv(report / "float.csv", "tensor,numbers,bytes") == 2 + 4 * 9);  // shortcuts, norms
  CHECK(check_csv(report / "planes.csv", "layer,bits,plane,density_percent") == planes);
  CHECK(check_csv(report / "history.csv", "stage,epoch,layer,bits_before,bits_after,scale,density_percent") == 4 * 9);
  CHECK(check_csv(report / "stages.csv",
                  "stage,epochs,planned_epochs,form,test_top1,test_top5,test_loss,best_top1,best_epoch,"
                  "bits_per_parameter,stored_bits_per_parameter,compression,compression_without_empty,compression_"
                  "everything,compression_file,"
                  "seconds_per_epoch,seconds_per_step,images_per_second,train_seconds,trainable_numbers,"
                  "weight_bytes_per_step,planned_bytes,peak_resident_mib") == 4);
  const json& operations = found.at("operations");
  CHECK(check_csv(report / "operations.csv",
                  "layer,multiply_adds,multiply_adds_percent,input_bits,weight_bits,bops,bops_percent,"
                  "bops_without_signs,bytes,bytes_percent") == operations.at("layers").size());
  double bops = 0;
  for (const json& layer : operations.at("layers")) {
    const double bits = layer.at("weight_bits"), with_sign = bits == 32 || bits == 0 ? bits : bits + 1;
    const double expected = layer.at("multiply_adds").get<double>() * with_sign * layer.at("input_bits").get<double>();
    CHECK(layer.at("bops") == expected);
    bops += expected;
  }
  CHECK(operations.at("bops") == bops);
  CHECK(operations.at("layers").size() == 8 + 2);  // with the projections of two shortcuts, which are float
  CHECK(found.at("float_from") == "pretrain");
  CHECK(found.at("float_top1") == found.at("stages")[0].at("best_top1"));
  CHECK(found.at("method") == "BSQ");
  // 20 bytes per trainable number and 8 per quantized weight; 48 images in steps of 16, three epochs.
  const json& planes_stage = found.at("stages")[2];
  CHECK(planes_stage.at("weight_bytes_per_step").get<double>() ==
        20 * planes_stage.at("trainable_numbers").get<double>() +
            8 * found.at("precision").at("quantized_weights").get<double>());
  CHECK(planes_stage.at("seconds_per_step").get<double>() ==
        Approx(planes_stage.at("train_seconds").get<double>() / (3 * 3)));
  const json& last = found.at("stages")[3];
  for (const char* ratio :
       {"stored_bits_per_parameter", "compression", "compression_without_empty", "compression_everything"})
    CHECK(found.at("precision").at(ratio) == last.at(ratio));
  const json& precision = found.at("precision");
  CHECK(precision.at("compression_file").get<double>() * precision.at("file_bytes").get<double>() ==
        Approx(precision.at("float_bytes").get<double>()));
}

TEST_CASE("several runs are compared, one row per run, whatever has become of them") {
  const Workspace here;
  here.train("float", {"stages=[pretrain]"});
  here.train("whole");
  CHECK(here.run({"train", "tiny.yaml", "--run-dir", "nan", "pretrain.lr=1e30"}).exit_code == 6);
  const Outcome printed = here.must({"report", "float", "whole", "nan"});
  const std::vector<std::string> lines = lines_of(printed.out);
  REQUIRE(lines.size() == 12);
  CHECK(lines[11] == "page: report/index.html");
  CHECK_THAT(lines[0], Catch::Contains("run    state") && Catch::Contains("alpha") && Catch::Contains("final %"));
  CHECK_THAT(lines[2], Catch::StartsWith("float  done ") && Catch::Contains(" 32.000 "));
  CHECK_THAT(lines[3], Catch::StartsWith("whole  done "));
  CHECK_THAT(lines[4], Catch::StartsWith("nan    failed (exit 6) "));
  const json all = json::parse(here.must({"report", "float", "whole", "nan", "--json"}).out);
  REQUIRE(all.size() == 3);
  CHECK(all[2].at("exit_code") == 6);
  CHECK_FALSE(all[2].contains("precision"));
  CHECK_THAT(here.must({"report", "nan"}).out,
             Catch::Contains("no epoch is finished yet, there is nothing to report\n"));
}

TEST_CASE("the float model of a run is that of the run whose model it began with") {
  const Workspace here;
  for (const char* seed : {"1", "2"}) {
    const std::string start = std::string("float") + seed, with_seed = std::string("seed=") + seed;
    here.train(start, {"stages=[pretrain]", with_seed});
    here.train(std::string("lsq") + seed, {"stages=[lsq]", "quant.weight_bits=3", "lsq.epochs=1", with_seed,
                                           "model.init=" + start + "/checkpoints/pretrain"});
  }
  here.train("last", {"stages=[finetune]", "model.init=lsq1/checkpoints/lsq_best"});
  here.train("new", {"stages=[csq,finetune]", "csq.epochs=2", "csq.warmup_epochs=0", "csq.hard_mask_epochs=1"});
  const json all = json::parse(here.must({"report", "float1", "lsq1", "last", "new", "--json"}).out);
  const json& in_float = all[0].at("stages")[0];
  CHECK(all[0].at("float_top1") == in_float.at("best_top1"));
  CHECK(all[1].at("float_top1") == in_float.at("test_top1"));  // the checkpoint of the end, not the best one
  CHECK(all[1].at("float_from") == "model.init");
  CHECK(all[2].at("float_top1") == in_float.at("test_top1"));  // by way of the quantized one
  CHECK_FALSE(all[3].contains("float_top1"));

  // Seeds that began with models of the same training are one setting.
  here.must({"report", "lsq1", "lsq2", "new"});
  const std::vector<std::string> groups = lines_of(text_of(here / "report/groups.csv"));
  REQUIRE(groups.size() == 3);
  CHECK_THAT(groups[1] + groups[2], Catch::Contains("LSQ,2,2,") && Catch::Contains("CSQ,1,1,"));
  // A run that is no more, or was tested on other images, says nothing.
  fs::remove_all(here / "float1");
  CHECK_FALSE(json::parse(here.must({"report", "lsq1", "--json"}).out).contains("float_top1"));
  here.train("other", {"stages=[lsq]", "quant.weight_bits=3", "lsq.epochs=1", "data.synthetic_test=30",
                       "model.init=float2/checkpoints/pretrain"});
  CHECK_FALSE(json::parse(here.must({"report", "other", "--json"}).out).contains("float_top1"));
}

TEST_CASE("option --out puts the files elsewhere, a folder per run") {
  const Workspace here;
  here.train("a", {"stages=[pretrain]"});
  here.train("b", {"stages=[pretrain]", "name=other"});
  const std::vector<std::string> before = here.files("a/report");
  CHECK_THAT(here.must({"report", "a", "--out", "out/one"}).out, Catch::EndsWith("\npage: out/one/index.html\n"));
  CHECK(here.files("out/one") == before);
  here.must({"report", "a", "b", "--out", "out/two"});
  CHECK(here.files("out/two/01-tiny") == before);
  CHECK(here.files("out/two/02-other") == before);
  CHECK(fs::exists(here / "out/two/index.html"));
  CHECK_FALSE(fs::exists(here / "report"));
  const Outcome outcome = here.run({"report", "a", "--out", "tiny.yaml/x"});
  CHECK(outcome.exit_code == 4);
  CHECK_THAT(outcome.out, Catch::StartsWith("run "));  // what needs no file is there
  CHECK(outcome.err == "error: tiny.yaml/x: cannot create the folder of the report: Not a directory; check the path\n");
}

TEST_CASE("the tables of a run are shown to who may not write into it") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  const std::string shown = here.must({"report", "run"}).out;
  fs::remove_all(here / "run/report");
  put_text(here / "run/report", "in the way");
  const Outcome outcome = here.run({"report", "run"});
  CHECK(outcome.exit_code == 4);
  CHECK(outcome.out + "\npage: run/report/index.html\n" == shown);
  CHECK_THAT(outcome.err,
             Catch::StartsWith("error: run/report") && Catch::EndsWith("; or write elsewhere: --out DIR\n"));
}

TEST_CASE("a run that is named twice, by a link or by a pattern, is one run, and reports among runs are passed over") {
  const Workspace here;
  here.must({"train", "tiny.yaml", "stages=[pretrain]"});
  here.must({"train", "tiny.yaml", "stages=[pretrain]", "seed=2"});
  Words words = {"report"};
  for (int time = 0; time < 2; ++time) {  // the first writes runs/tiny/report
    words.resize(1);
    for (const fs::directory_entry& entry : fs::directory_iterator(here / "runs/tiny"))
      words.push_back("runs/tiny/" + entry.path().filename().string());
    here.must(words);
  }
  REQUIRE(words.size() == 5);  // two runs, latest, report
  CHECK(lines_of(text_of(here / "runs/tiny/report/comparison.csv")).size() == 3);
  CHECK_THAT(here.must({"report", "runs/tiny", "runs/tiny/latest"}).out, !Catch::Contains("runs in"));
  check_error(here, {"report", "runs/tiny/report", "runs/tiny/report"}, 2,
              {"runs/tiny/report, runs/tiny/report: are reports, of no run; give runs"});
}

TEST_CASE("what is no run, or a damaged one") {
  const Workspace here;
  check_errors(here, {"report", "nowhere"}, 2,
               {"nowhere: is not a run directory (no config.yaml and status.json of a run in it); check the path"});
  here.train("run", {"stages=[pretrain]"});
  check_errors(here, {"report", "run", "nowhere"}, 2,
               {"nowhere: is not a run directory (no config.yaml and status.json of a run in it); check the path"});
  edit_text(here / "run/metrics.jsonl", "\"event\":\"stage_start\"", "\"event\":stage_start\"");
  check_error(here, {"report", "run"}, 4, {"run/metrics.jsonl:1: the log is damaged ("});
  edit_text(here / "run/metrics.jsonl", "\"event\":stage_start\"", "\"event\":\"stage_start\"");
  std::string csv = text_of(here / "run/metrics.csv");
  put_text(here / "run/metrics.csv", csv + "pretrain,3,");  // a line half written is no damage
  here.must({"report", "run"});
  put_text(here / "run/metrics.csv", csv + "pretrain,3\n");
  check_error(here, {"report", "run"}, 4, {"run/metrics.csv:4: the log is damaged (it has no cell step)"});
  put_text(here / "run/metrics.csv", csv + "pretrain,2147483647,1,0,0,0,0,0,0,0,0,0,0,0\n");  // sums of it overflow
  check_error(here, {"report", "run"}, 4, {"run/metrics.csv:4: the log is damaged (2147483647 is no count from 0 to"});
  put_text(here / "run/metrics.csv", csv + "pretrain,3,1,0,1x,0,0,0,0,0,0,0,0,0\n");
  check_error(here, {"report", "run"}, 4, {"run/metrics.csv:4: the log is damaged (train_loss is '1x', which is no"});
}
