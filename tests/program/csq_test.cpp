// The stage csq: from float weights or from nothing, hardened, finetuned, resumed, exported; what it cannot start from.
#include "tests/support/emulated_gpu.h"
#include "tests/support/tensor_file.h"
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <csignal>

using namespace bsq::test;
using nlohmann::json;

namespace {

const Words kShort = {"csq.epochs=3",      "csq.warmup_epochs=0", "csq.hard_mask_epochs=1",
                      "csq.target_bits=2", "csq.lr=0.05",         "quant.weight_bits=4"};

Words with_csq(Words words, const std::string& stages) {
  words.insert(words.end(), kShort.begin(), kShort.end());
  words.push_back("stages=" + stages);
  return words;
}

}  // namespace

TEST_CASE("CSQ trains a float model, hardens it, and its result is evaluated, exported and finetuned") {
  const Workspace here;
  here.train("run", with_csq({}, "[pretrain,csq,finetune]"));
  const std::string model = "run/checkpoints/csq/model.safetensors";
  const bsq::TensorFile hard = bsq::read_safetensors(here / model);
  CHECK(hard.metadata.at("form") == "csq");
  CHECK(hard.at("conv1.gates_weight").values<float>()[1] == 2);  // all gates
  CHECK_THAT(here.must({"eval", model}).out, Catch::Contains("bits per weight"));
  for (const char* format : {"packed", "float"})
    here.must({"export", model, "--format", format, "--output", std::string(format) + ".safetensors"});
  here.must({"export", model, "--format", "onnx", "--output", "model.onnx", "quant.act_scale=batch_max"});
  const std::string log = text_of(here / "run/train.log");
  CHECK_THAT(log, Catch::Contains("csq 3/3") && Catch::Contains("[Q] csq after epoch 3: "));
  CHECK_THAT(log, Catch::Contains("[T] finetune 2/2"));
  const json scheme = json::parse(hard.metadata.at("scheme"));
  const json kept =
      json::parse(bsq::read_safetensors(here / "run/checkpoints/finetune/model.safetensors").metadata.at("scheme"));
  for (const auto& [layer, bits] : scheme.items()) {
    INFO(layer);
    CHECK(bits.at(0).get<int>() <= 4);
    CHECK(std::max(kept.at(layer).at(0).get<int>(), 1) == std::max(bits.at(0).get<int>(), 1));
  }
  CHECK_THAT(here.must({"report", "run"}).out, Catch::Contains("csq"));
}

TEST_CASE("CSQ trains from scratch, as published") {
  const Workspace here;
  here.train("run", with_csq({}, "[csq]"));
  CHECK_THAT(text_of(here / "run/train.log"), Catch::Contains("stage csq done"));
}

TEST_CASE("a checkpoint of CSQ on the way is evaluated and exported as floats, not as integers") {
  const Workspace here;
  Words words = with_csq({"checkpoint.keep_last=9"}, "[csq]");
  here.train("run", words);
  const std::string soft = "run/checkpoints/epoch_0001";
  here.must({"eval", soft});
  here.must({"export", soft, "--format", "float", "--output", "float.safetensors"});
  const Outcome packed = here.run({"export", soft, "--format", "packed", "--output", "packed.safetensors"});
  CHECK(packed.exit_code == 2);
  CHECK_THAT(packed.err, Catch::Contains("are on no grid yet"));
  const Outcome converted = here.run({"convert", soft, "planes.safetensors"});
  CHECK(converted.exit_code == 2);
  CHECK_THAT(converted.err, Catch::Contains("still soft"));
  put_text(here / "s.yaml", here.must({"scheme", soft}).out);
  const Outcome judged = here.run({"what-if", soft, "s.yaml"});
  CHECK(judged.exit_code == 2);
  CHECK_THAT(judged.err, Catch::Contains("still soft"));
  const Outcome tuned =
      here.run({"train", "tiny.yaml", "--run-dir", "tuned", "stages=[finetune]", "model.init=" + soft});
  CHECK(tuned.exit_code == 2);
  CHECK_THAT(tuned.err, Catch::Contains("weights of stage csq that are still soft"));
}

TEST_CASE("CSQ killed in its epochs and resumed comes to the bits of a run that was not") {
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  const Workspace here;
  here.train("whole", with_csq({}, "[pretrain,csq]"));
  const Words train = with_csq({"train", "tiny.yaml", "--run-dir", "run"}, "[pretrain,csq]");
  REQUIRE(signal_after("[T] csq 2/3", SIGKILL, train, here.setup()).signal == SIGKILL);
  Words resume = train;
  resume.insert(resume.end(), {"--resume", "auto"});
  here.must(resume);
  check_same_run(here / "whole", here / "run");
}

TEST_CASE("CSQ on an emulated GPU comes to what it comes to on the CPU") {
  if (EmulatedGpu::is_missing()) return;
  const Workspace here;
  const EmulatedGpu gpu;
  // One epoch: once masks have crossed 0 here and not there, the two are different networks.
  Words words = with_csq({"train", "tiny.yaml", "--run-dir", "gpu", "device=cuda"}, "[pretrain,csq]");
  const Words short_stage = {"csq.epochs=1", "csq.hard_mask_epochs=0"};
  words.insert(words.end(), short_stage.begin(), short_stage.end());
  gpu.run(here, words, 0);
  words = with_csq({"device=cpu"}, "[pretrain,csq]");
  words.insert(words.end(), short_stage.begin(), short_stage.end());
  here.train("cpu", words);
  check_similar_epochs(here / "cpu", here / "gpu");
}

TEST_CASE("CSQ is refused behind a stage that puts weights on a grid, and with settings that contradict each other") {
  const Workspace here;
  const auto refusal = [&](Words words) {
    Words all = {"train", "tiny.yaml", "--run-dir", "run"};
    all.insert(all.end(), words.begin(), words.end());
    const Outcome outcome = here.run(all);
    CHECK(outcome.exit_code == 2);
    CHECK_FALSE(fs::exists(here / "run"));
    return outcome.err;
  };
  CHECK_THAT(refusal(with_csq({}, "[pretrain,convert,csq]")),
             Catch::Contains("csq starts from float weights, and convert puts them on a grid"));
  CHECK_THAT(refusal({"stages=[csq]", "csq.epochs=3", "csq.warmup_epochs=0", "csq.hard_mask_epochs=3"}),
             Catch::Contains("csq.hard_mask_epochs = 3; must be less than csq.epochs = 3"));
  CHECK_THAT(refusal({"stages=[csq]", "csq.target_bits=5", "quant.weight_bits=4"}),
             Catch::Contains("csq.target_bits = 5; must be at most quant.weight_bits = 4"));
}
