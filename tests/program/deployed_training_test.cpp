// Training under the arithmetic of deployment, as a person uses it: what it is for, what it needs, and that it resumes.
#include "tests/support/emulated_gpu.h"
#include "tests/support/tensor_file.h"
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <csignal>

using namespace bsq::test;
using nlohmann::json;

namespace {

const Words kDeployed = {"quant.deployed=true",
                         "quant.act_scale=calibrated",
                         "quant.weight_bits=7",
                         "quant.max_bits=7",
                         "data.mean=[0.50196078,0.50196078,0.50196078]",
                         "data.std=[0.25098039,0.25098039,0.25098039]"};

Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

json eval(const Workspace& here, const std::string& run, const std::string& arithmetic) {
  return json::parse(here.must({"eval", run, "--as", arithmetic, "--json", "-q"}).out);
}

}  // namespace

TEST_CASE("a run under the arithmetic of deployment has the same results in integers") {
  const Workspace here;
  const Outcome trained = here.train("run", kDeployed);
  CHECK_FALSE(contains(trained.err, "quant.deployed:"));
  const json best = eval(here, "run/checkpoints/finetune_best", "deployed");
  const std::string in_integers =
      fmt::format("in integers, as it is deployed: {:.2f} %", best.at("top1").get<double>());
  CHECK_THAT(trained.out, Catch::Contains("result: ") && Catch::Contains(in_integers));
  CHECK_THAT(here.must({"report", "run"}).out, Catch::Contains(in_integers));
  CHECK_THAT(text_of(here / "run/report/index.html"), Catch::Contains(in_integers));
  CHECK(json_of(here / "run/report/summary.json").at("deployed").at("test_top1") == best.at("top1"));
  const json deployed = eval(here, "run", "deployed");
  CHECK(deployed.at("top1") == deployed.at("top1_calibrated"));
  const json calibrated = eval(here, "run", "calibrated");
  CHECK(deployed.at("loss").get<double>() == Approx(calibrated.at("loss").get<double>()).epsilon(1e-4));
  CHECK(eval(here, "run", "trained").at("images") == deployed.at("images"));
  CHECK(contains(text_of(here / "run/checkpoints/finetune/model.safetensors"), "\"layer1.0.bn2.term.range\""));
  CHECK_FALSE(contains(text_of(here / "run/checkpoints/pretrain/model.safetensors"), ".range\""));
  CHECK(here.must({"verify", "run"}).exit_code == 0);
}

TEST_CASE("integers come to the same on the oracle and on an emulated GPU as on the CPU") {
  if (EmulatedGpu::is_missing()) return;
  const Workspace here;
  here.train("run", kDeployed);
  const json expected = eval(here, "run", "deployed");
  const EmulatedGpu gpu;
  for (const std::string device : {"reference", "cuda"}) {
    INFO(device);
    const Words words = {"eval", "run", "--as", "deployed", "device=" + device, "--json", "-q"};
    const json found = json::parse(gpu.run(here, words, 0).out);
    for (const char* figure : {"top1", "top5", "loss", "images"}) CHECK(found.at(figure) == expected.at(figure));
  }
}

TEST_CASE("a run whose scales are fixed has its accuracy in integers, another one has none, and damage to it is said") {
  const Workspace here;
  const Outcome other = here.train("other", {"quant.act_scale=calibrated"});
  const json best = eval(here, "other/checkpoints/finetune_best", "deployed");
  CHECK_THAT(other.out,
             Catch::Contains(fmt::format("in integers, as it is deployed: {:.2f} %", best.at("top1").get<double>())));
  CHECK(json_of(here / "other/deployed.json").at("test_loss") == best.at("loss"));
  CHECK_FALSE(contains(here.train("plain", {}).out, "in integers"));
  CHECK_FALSE(fs::exists(here / "plain/deployed.json"));
  here.train("run", kDeployed);
  put_text(here / "run/deployed.json", "{\"model\": \"finetune_best\"}");
  check_error(here, {"report", "run"}, 4, {"run/deployed.json", "the file is damaged, remove it"});
  put_text(here / "run/deployed.json", "{\"model_hash\": \"of another model\"}");
  CHECK_FALSE(contains(here.must({"report", "run"}).out, "in integers"));
  // A run that takes the place of another has nothing of it.
  here.train("run", {"--force"});
  CHECK_FALSE(fs::exists(here / "run/deployed.json"));
}

TEST_CASE("a run that is asked to stop while its best model is evaluated in integers is done, and reported without") {
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  const Workspace here;
  const Words train = {"train", "tiny.yaml", "--run-dir", "run", "quant.act_scale=calibrated"};
  const Outcome stopped = signal_after("evaluating checkpoints/", SIGTERM, train, here.setup());
  CHECK(stopped.exit_code == 0);
  CHECK_THAT(stopped.err, Catch::Contains("stopped on request; so the report lacks the accuracy in integers, see it "
                                          "with: bsq eval run --as deployed"));
  CHECK_FALSE(fs::exists(here / "run/deployed.json"));
  CHECK(fs::exists(here / "run/report/index.html"));
}

TEST_CASE("a model that was trained under it is exported without training images, another one is not") {
  const Workspace here;
  here.train("run", kDeployed);
  here.train("other", {"quant.act_scale=calibrated"});
  const Words gone = {"data.kind=cifar10", "data.root=gone"};
  for (const std::string format : {"deployed", "c"}) {
    INFO(format);
    const std::string ending = format == "c" ? ".c" : ".safetensors";
    here.must(with({"export", "run", "--format", format, "--output", "here" + ending}, gone));
    check_error(here, with({"export", "other", "--format", format, "--output", "no" + ending, "-q"}, gone), 3,
                {"gone"});
  }
  here.must(with({"export", "run", "--format=packed", "--output=packed.safetensors"}, gone));
  here.must({"export", "packed.safetensors", "--format=deployed", "--output=again.safetensors", "data.kind=cifar10",
             "data.root=gone"});
  here.must({"export", "run", "--format=deployed", "--output=beside.safetensors"});
  CHECK(text_of(here / "again.safetensors").size() == text_of(here / "here.safetensors").size());
}

TEST_CASE("the graph of training is exported without what deployment rounds besides, and says so") {
  const Workspace here;
  here.train("run", kDeployed);
  const Words words = {"export", "run", "--format=onnx", "--output=m.onnx", "--force"};
  CHECK(contains(here.must(with(words, {"--runtime=reference"})).out, "(quant.deployed)"));
  CHECK_FALSE(contains(here.must(words).out, "(quant.deployed)"));
}

TEST_CASE("a run under the arithmetic of deployment that was killed ends as if it had not been") {
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  const Workspace here;
  // Batches of calibration are of a size that every stage has: else a start in a later stage lists more convolutions.
  const Words more = with(kDeployed, {"data.eval_batch_size=16"});
  here.train("whole", more);
  const Words train = with({"train", "tiny.yaml", "--run-dir", "run"}, more);
  for (const char* line : {"[T] bsq 1/3", "stage bsq done", "[T] finetune 1/2"}) {
    INFO(line);
    fs::remove_all(here / "run");
    REQUIRE(signal_after(line, SIGKILL, train, here.setup()).signal == SIGKILL);
    here.must(with(train, {"--resume", "auto"}));
    check_same_run(here / "whole", here / "run");
  }
}

TEST_CASE("a run under the arithmetic of deployment on an emulated GPU comes to what it comes to on the CPU",
          "[slow]") {
  if (EmulatedGpu::is_missing()) return;
  const Workspace here;
  const EmulatedGpu gpu;
  gpu.run(here, with({"train", "tiny.yaml", "--run-dir", "gpu", "device=cuda"}, kDeployed), 0);
  here.train("cpu", with({"device=cpu"}, kDeployed));
  check_similar_epochs(here / "cpu", here / "gpu");
}

TEST_CASE("training under the arithmetic of deployment says what it does not reach") {
  const Workspace here;
  const Outcome trained = here.must(
      {"train", "tiny.yaml", "quant.deployed=true", "quant.act_scale=calibrated", "quant.weight_bits=7", "--dry-run"});
  CHECK_THAT(trained.err, Catch::Contains("warning: quant.deployed: pixels are rounded to 256 levels of one unit: "
                                          "data.mean=[0.50196078,") &&
                              Catch::Contains("may keep 8 bits, of which 7 fit beside the sign"));
}

TEST_CASE("training under the arithmetic of deployment refuses what integers do not have") {
  const Workspace here;
  const std::string end = "1 error; nothing was written";
  check_errors(here, {"train", "tiny.yaml", "quant.deployed=true"}, 2,
               {"override 1: quant.deployed = true; integers have fixed scales, set quant.act_scale to calibrated, not "
                "batch_max",
                end});
  check_errors(here, {"train", "tiny.yaml", "quant.deployed=true", "quant.act_scale=calibrated", "quant.act_bits=0"}, 2,
               {"override 1: quant.deployed = true; needs quantized activations, set quant.act_bits to 1..8", end});
  check_errors(
      here, {"train", "tiny.yaml", "quant.deployed=true", "quant.act_scale=calibrated", "stages=[pretrain]"}, 2,
      {"override 1: quant.deployed = true; no stage of [pretrain] quantizes activations, add convert or bsq or csq or "
       "lsq or msq",
       end});
  CHECK(contains(here.must({"validate", "tiny.yaml", "quant.deployed=true", "quant.act_scale=calibrated"}).err,
                 "integers have 7 bits beside the sign"));
}

TEST_CASE("a model without ranges is not evaluated as if it had some") {
  const Workspace here;
  here.train("run", {"quant.act_scale=calibrated"});
  check_error(here, {"eval", "run", "quant.deployed=true", "-q"}, 2,
              {"has no bn1.range that has been found; evaluate with quant.deployed=false"});
  here.train("deployed", kDeployed);
  here.must({"eval", "deployed", "quant.deployed=false"});
}
