// Configurations: every mistake is answered with its place, what is wrong and how to mend it, before data is touched.
#include "tests/support/workspace.h"

using namespace bsq::test;

namespace {

std::string total(std::size_t errors) {
  return std::to_string(errors) + " error" + (errors == 1 ? "" : "s") + "; nothing was written";
}

/// Data that is not there: were it looked at, the error would be another.
const std::string kNoData = "data: {kind: cifar10, root: /nowhere/at/all}\n";

/// `train`, its dry run and `validate` say the same of bad.yaml, and leave nothing behind.
void check_config(const Workspace& here, const std::string& text, const Words& overrides,
                  std::vector<std::string> errors) {
  put_text(here / "bad.yaml", text);
  INFO(text);
  errors.push_back(total(errors.size()));
  const std::vector<std::string> before = here.files();
  for (Words words :
       {Words{"train", "bad.yaml"}, Words{"train", "bad.yaml", "--dry-run"}, Words{"validate", "bad.yaml"}}) {
    words.insert(words.end(), overrides.begin(), overrides.end());
    check_errors(here, words, 2, errors);
  }
  CHECK(here.files() == before);
}

}  // namespace

TEST_CASE("a key that is unknown, twice there, of another type or out of range") {
  const Workspace here;
  check_config(here, kNoData + "bsq:\n  alhpa: 0.1\n", {},
               {"bad.yaml:3:3: unknown key 'bsq.alhpa'; did you mean 'bsq.alpha'?"});
  check_config(here, kNoData + "bsq: {alpha: 1}\nbsq: {alpha: 2}\n", {},
               {"bad.yaml:3:1: duplicate key 'bsq' (first at line 2)"});
  check_config(here, kNoData + "pretrain:\n  lr: 1e-4x\n", {},
               {"bad.yaml:3:3: pretrain.lr = 1e-4x; expected a number"});
  check_config(here, kNoData + "pretrain: {epochs: 010}\n", {},
               {"bad.yaml:2:12: pretrain.epochs = 010; leading zero is ambiguous, write 10 or 8"});
  check_config(here, kNoData + "quant: {weight_bits: 9}\n", {},
               {"bad.yaml:2:9: quant.weight_bits = 9; must be an integer in 1..8"});
  check_config(here, kNoData + "pretrain: {lr: .nan}\n", {}, {"bad.yaml:2:12: pretrain.lr = .nan; must be finite"});
  check_config(here, kNoData, {"quant.max_bits=4"},
               {"override 1: quant.max_bits = 4; must be at least quant.weight_bits = 8"});
  check_config(
      here, kNoData, {"data.kind=imagenet"},
      {"override 1: data.kind = imagenet; must be one of synthetic, cifar10, cifar100, image_folder, webdataset"});
}

TEST_CASE("all mistakes of files and overrides in one go") {
  const Workspace here;
  check_config(
      here, kNoData + "sead: 1\nmodel: {depth: twenty}\n",
      {"bsq.alpha=-1", "+seed=2", "~seed", "bsq=1", "finetune.epochs=1.5"},
      {"bad.yaml:2:1: unknown key 'sead'; did you mean 'seed'?",
       "bad.yaml:3:9: model.depth = twenty; expected an integer", "override 1: bsq.alpha = -1; must be a number >= 0",
       "override 2: '+seed=2' adds a key; the keys are fixed, write seed=2",
       "override 3: '~seed' removes a key; the keys are fixed, set its value instead",
       "override 4: 'bsq' is a group of keys; set one of them, as in bsq.key=value",
       "override 5: finetune.epochs = 1.5; expected an integer"});
}

TEST_CASE("text that is no YAML, and files that are no text") {
  const Workspace here;
  for (const char* text : {"bsq: [1, 2\n", "bsq:\n\talpha: 1\n"}) {  // the reason is yaml-cpp's to say
    put_text(here / "bad.yaml", text);
    const Outcome outcome = here.run({"train", "bad.yaml"});
    CHECK(outcome.exit_code == 2);
    CHECK_THAT(outcome.err, Catch::StartsWith("error: bad.yaml:2:") && Catch::Contains(": not valid YAML: "));
    CHECK_THAT(outcome.err, Catch::EndsWith("\nerror: 1 error; nothing was written\n"));
  }
  check_config(here, std::string("a\0b", 3), {}, {"bad.yaml:1:1: not a text file; expected YAML in UTF-8"});
  check_config(here, std::string(2 << 20, '#'), {}, {"bad.yaml: too large for a configuration; expected a YAML file"});
  check_config(here, "just words\n", {}, {"bad.yaml:1:1: expected `key: value` lines, found just words"});
  check_errors(here, {"train", "nowhere.yaml"}, 2,
               {"nowhere.yaml: cannot open: No such file or directory; check the path", total(1)});
  fs::create_directory(here / "folder");
  check_errors(here, {"train", "folder"}, 2, {"folder: is a folder; give a file", total(1)});
}

TEST_CASE("_base_: inherited over folders, refused in a circle or where it is missing") {
  const Workspace here;
  put_text(here / "base/common.yaml", "_base_: ../tiny.yaml\nbsq: {alpha: 3}\nname: common\n");
  put_text(here / "own.yaml", "_base_: [base/common.yaml]\nname: own\npretrain: {epochs: 4}\n");
  const std::string text = here.must({"train", "own.yaml", "--print-config", "bsq.lr=0.25"}).out;
  for (const char* line : {"name: own ", "\n  width: 2 ", "\n  epochs: 4 ", "\n  milestones: [1] ", "\n  alpha: 3 ",
                           "\n  lr: 0.25 ", "\n  requant_interval: 1 "})
    CHECK_THAT(text, Catch::Contains(line));

  put_text(here / "a.yaml", "_base_: b.yaml\n");
  put_text(here / "b.yaml", "_base_: a.yaml\n");
  check_errors(here, {"train", "a.yaml"}, 2, {"b.yaml:1:1: _base_ cycle a.yaml -> b.yaml -> a.yaml", total(1)});
  put_text(here / "base/lost.yaml", "_base_: gone.yaml\n");
  check_errors(here, {"train", "base/lost.yaml"}, 2,
               {"base/lost.yaml:1:1: _base_ 'gone.yaml' not found; looked for base/gone.yaml", total(1)});
  put_text(here / "c.yaml", "_base_: base/wrong.yaml\n");
  put_text(here / "base/wrong.yaml", "sead: 1\n");
  check_errors(here, {"train", "c.yaml"}, 2,
               {"base/wrong.yaml:1:1: unknown key 'sead'; did you mean 'seed'?", total(1)});
}

TEST_CASE("files that inherit the next one twice, over and over, are refused in a moment") {
  const Workspace here;
  for (int i = 0; i < 28; ++i) {
    const std::string next = "d" + std::to_string(i + 1) + ".yaml";
    put_text(here / ("d" + std::to_string(i) + ".yaml"), "_base_: [" + next + ", " + next + "]\n");
  }
  put_text(here / "d28.yaml", "seed: 1\n");
  check_errors(here, {"validate", "d0.yaml"}, 2,
               {"d0.yaml: more than 100 files inherited by _base_; is one inherited again and again?", total(1)});
}

TEST_CASE("a file with a = in its path is a file, and a key is a key whatever is there") {
  const Workspace here;
  fs::create_directories(here / "lr=0.1");
  fs::copy_file(here / "tiny.yaml", here / "lr=0.1/c=1.yaml");
  fs::create_directories(here / "seed=3");  // as a sweep names its runs
  CHECK_THAT(here.must({"train", "lr=0.1/c=1.yaml", "seed=3", "--print-config"}).out, Catch::Contains("\nseed: 3 "));
  check_config(here, "", {"lr=0.2"},
               {"override 1: unknown key 'lr'; did you mean 'pretrain.lr', 'bsq.lr', 'csq.lr', 'lsq.lr', 'dorefa.lr', "
                "'msq.lr' or 'finetune.lr'?"});
  here.must({"train", "lr=0.1/c=1.yaml", "stages=[pretrain]", "--run-dir", "run=1"});
  here.must({"eval", "run=1/checkpoints/pretrain/model.safetensors"});
  here.must({"export", "run=1", "--format", "onnx", "--output", "a=1.onnx"});
}

TEST_CASE("stages that cannot follow each other, lack a model or have nothing to do") {
  const Workspace here;
  check_config(here, "", {"stages=[bsq,convert]"},
               {"override 1: stages = [bsq, convert]; convert cannot follow bsq, the order is pretrain, convert, bsq, "
                "csq, lsq, dorefa, msq, finetune",
                "override 1: stages begin with bsq, which needs a trained model; set model.init to a checkpoint folder "
                "or a .safetensors file"});
  check_config(
      here, "", {"stages=[]"},
      {"override 1: stages = []; list at least one of pretrain, convert, bsq, csq, lsq, dorefa, msq, finetune"});
  check_config(here, "", {"stages=[pretrain,finetune]"},
               {"override 1: stages = [pretrain, finetune]; finetune needs bit widths; put convert or bsq or csq or "
                "lsq or msq before it"});
  check_config(here, "", {"bsq.epochs=0"},
               {"override 1: bsq.epochs = 0; must be an integer >= 1, or leave bsq out of stages"});
  check_config(here, "", {"name=../up", "run.dir="},
               {"override 1: name = \"../up\"; must be a folder's name, without /",
                "override 2: run.dir = \"\"; must be a folder, such as runs"});
  check_config(here, "data: {kind: image_folder}\n", {},
               {"bad.yaml:1:8: data.kind = image_folder needs data.root, the folder it lies in"});
  CHECK(here.must({"validate", "tiny.yaml", "stages=[pretrain]", "bsq.epochs=0"}).out ==
        "tiny.yaml: OK: tiny (pretrain), 0 warnings\n");
}

TEST_CASE("option --print-config prints what a run would use, and that file runs the same") {
  const Workspace here;
  const Words overrides = {"--seed=7",
                           "bsq.alpha=2",
                           "bsq.alpha=11",
                           "data.flip=false",
                           "stages=[pretrain,convert]",
                           "pretrain.milestones=[1]",
                           "name=\"a b: c\""};
  Words words = {"train", "tiny.yaml", "--print-config"};
  words.insert(words.end(), overrides.begin(), overrides.end());
  const Outcome printed = here.must(words);
  CHECK(printed.err.empty());
  CHECK_THAT(printed.out, Catch::Contains("\n  alpha: 11 "));  // the last one wins
  put_text(here / "printed.yaml", printed.out);
  CHECK(here.must({"train", "printed.yaml", "--print-config"}).out == printed.out);
  CHECK(here.files() == std::vector<std::string>{"printed.yaml", "tiny.yaml"});

  here.train("one", overrides);
  CHECK(text_of(here / "one/config.yaml") == printed.out);
  CHECK(text_of(here / "one/overrides.txt") ==
        "seed=7\nbsq.alpha=2\nbsq.alpha=11\ndata.flip=false\nstages=[pretrain,convert]\npretrain.milestones=[1]\n"
        "name=\"a b: c\"\n");
  here.must({"train", "one/config.yaml", "--run-dir", "two"});
  check_same_run(here / "one", here / "two");
}

TEST_CASE("validate says OK on stdout and counts its warnings") {
  const Workspace here;
  const Outcome fine = here.must({"validate", "tiny.yaml"});
  CHECK(lines_of(fine.out).front() == "tiny.yaml: OK: tiny (pretrain, convert, bsq, finetune), 0 warnings");
  CHECK(fine.err.empty());
  const Outcome warned =
      here.must({"validate", "tiny.yaml", "bsq.requant_interval=9", "data.kind=cifar10", "data.root=/nowhere/at/all"});
  CHECK(lines_of(warned.out).front() == "tiny.yaml: OK: tiny (pretrain, convert, bsq, finetune), 1 warning");
  CHECK(warned.err == "warning: bsq.requant_interval = 9, bsq.epochs = 3; no re-quantization before the final one\n");
}

TEST_CASE("a device or precision that is not there is an error, no other is taken instead") {
  const Workspace here;
  if (here.run({"train", "tiny.yaml", "--dry-run", "device=cuda"}).exit_code != 0)
    check_error(here, {"train", "tiny.yaml", "--run-dir", "run", "device=cuda"}, 5,
                {"device: cuda: ", "set device: cpu"});
  Setup setup = here.setup();
  setup.environment["DNNL_MAX_CPU_ISA"] = "AVX2";  // whatever this machine has
  const Outcome outcome = run({"train", "tiny.yaml", "--run-dir", "run", "device=cpu", "precision=bf16"}, setup);
  CHECK(outcome.exit_code == 5);
  CHECK_THAT(outcome.err, Catch::Contains("\nerror: precision: bf16: ") && Catch::EndsWith("; set precision: fp32\n"));
  CHECK_FALSE(fs::exists(here / "run"));
  check_error(here, {"train", "tiny.yaml", "--run-dir", "run", "device=cpu", "precision=tf32"}, 5,
              {"precision: tf32: tf32 is a precision that only GPUs have; set precision: fp32"});
}
